// Command standin takes the place of programs that Windows has and Wine has
// not, or only as an empty shell: tar.exe, certutil.exe, icacls.exe and
// findstr.exe. It is one program under four names. Each does what scripts rely on, with the
// output and the exit codes of the original, and nothing more.
package main

import (
	"bufio"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// console is what a program talks to.
type console struct {
	in       io.Reader
	out, err io.Writer
}

func main() {
	out := bufio.NewWriter(os.Stdout)
	c := console{os.Stdin, out, os.Stderr}
	code := run(filepath.Base(strings.ReplaceAll(os.Args[0], `\`, "/")), os.Args[1:], c)
	if err := out.Flush(); err != nil && code == 0 {
		code = 1
	}
	os.Exit(code)
}

// run is the program called name; it returns the exit code.
func run(name string, args []string, c console) int {
	switch strings.TrimSuffix(strings.ToLower(name), ".exe") {
	case "certutil":
		return certutil(args, c)
	case "findstr":
		return findstr(args, c)
	case "icacls":
		return (&icacls{console: c, log: accessLog()}).run(args)
	default:
		return tar(args, c)
	}
}
