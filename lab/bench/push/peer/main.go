// Command peer is the host's end of what other tools do, as a program that is
// faster than theirs: PowerShell and cmd.exe stand behind the real ones.
package main

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"io"
	"os"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 1 && args[0] == "sink":
		_, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{os.Stdin}, make([]byte, 256<<10))
		return err
	case len(args) == 2 && args[0] == "lines":
		return lines(args[1])
	}
	return fmt.Errorf("usage: peer sink | lines FILE")
}

// lines writes what lines of base64 on stdin hold to a file, and tells its sum.
func lines(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	sum := sha1.New()
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(make([]byte, 1<<20), 1<<20)
	for in.Scan() {
		b, err := base64.StdEncoding.DecodeString(in.Text())
		if err != nil {
			return err
		}
		if _, err := io.MultiWriter(f, sum).Write(b); err != nil {
			return err
		}
	}
	fmt.Printf("%x\n", sum.Sum(nil))
	return in.Err()
}
