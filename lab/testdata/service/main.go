//go:build windows

// Command service is, with "service", a Windows service that notes each start
// in a file, and otherwise waits to be stopped. "copy", "exit N", "args" and "tree FILE" are what
// tests need of a plain program.
package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"time"

	"golang.org/x/sys/windows/svc"
)

func main() {
	switch os.Args[1] {
	case "service":
		if err := svc.Run("", service{}); err != nil {
			os.Exit(1)
		}
	case "copy":
		if _, err := io.Copy(os.Stdout, os.Stdin); err != nil {
			os.Exit(1)
		}
	case "exit":
		n, err := strconv.ParseUint(os.Args[2], 10, 32)
		if err != nil {
			os.Exit(1)
		}
		os.Exit(int(n))
	case "args":
		fmt.Printf("%q\n", os.Args[2:])
	case "tree":
		tree(os.Args[2])
	}
}

type service struct{}

func (service) Execute(args []string, requests <-chan svc.ChangeRequest, status chan<- svc.Status) (bool, uint32) {
	f, err := os.OpenFile(`C:\starts.txt`, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return false, 1
	}
	fmt.Fprintln(f, args[0])
	f.Close()
	status <- svc.Status{State: svc.Running, Accepts: svc.AcceptStop}
	for r := range requests {
		if r.Cmd == svc.Stop {
			return false, 0
		}
		status <- r.CurrentStatus
	}
	return false, 0
}

// tree starts itself as a child; both write to the file as long as they live.
func tree(file string) {
	if len(os.Args) == 3 {
		child := exec.Command(os.Args[0], "tree", file+".child", "leaf")
		if err := child.Start(); err != nil {
			os.Exit(1)
		}
	}
	for n := 0; ; n++ {
		if err := os.WriteFile(file, []byte(strconv.Itoa(n)), 0o600); err != nil {
			os.Exit(1)
		}
		if n == 1 {
			fmt.Println("alive")
		}
		time.Sleep(20 * time.Millisecond)
	}
}
