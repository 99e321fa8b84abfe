// Command probe is the program that the contract test of transports runs on
// the other side. It does one plain thing by its first argument.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"time"
)

func main() {
	if len(os.Args) < 2 {
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(verb string, args []string) error {
	switch verb {
	case "exit": // CODE: says something on both streams
		fmt.Fprintln(os.Stdout, "to stdout")
		fmt.Fprintln(os.Stderr, "to stderr")
		code, err := strconv.Atoi(args[0])
		if err == nil {
			os.Exit(code)
		}
		return err
	case "version": // as a helper does when it is first started
		return nil
	case "sink": // SIZE: swallows so many bytes and says so
		size, err := strconv.ParseInt(args[0], 10, 64)
		if err != nil {
			return err
		}
		n, err := io.CopyN(io.Discard, os.Stdin, size)
		fmt.Println(n)
		return err
	case "keep": // FILE SIZE: so many bytes of stdin in a file
		return keep(args[0], args[1])
	case "echo", "serve": // stdin to stdout
		_, err := io.Copy(os.Stdout, os.Stdin)
		return err
	case "touch": // FILE: proves life every 20 ms until killed
		return touch(args[0])
	case "spawn": // FILE: a child that touches, and waits for it
		fmt.Println("spawned")
		return exec.Command(os.Args[0], "touch", args[0]).Run()
	}
	return fmt.Errorf("unknown verb %q", verb)
}

func keep(file, size string) error {
	n, err := strconv.ParseInt(size, 10, 64)
	if err != nil {
		return err
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	_, err = io.CopyN(f, os.Stdin, n)
	return errors.Join(err, f.Close())
}

func touch(file string) error {
	fmt.Println("touching")
	for n := 0; ; n++ {
		if err := os.WriteFile(file, []byte(strconv.Itoa(n)), 0o600); err != nil {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
}
