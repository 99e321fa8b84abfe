package main

import (
	"bufio"
	"fmt"
	"io"
)

// maxFindstr is the longest line that findstr.exe reads from stdin, in bytes.
const maxFindstr = 8191

// findstr knows `findstr "^"`, which passes on every line of stdin.
func findstr(args []string, c console) int {
	if len(args) != 1 || args[0] != "^" {
		fmt.Fprintln(c.err, "FINDSTR: Bad command line")
		return 2
	}
	in := bufio.NewReader(c.in)
	for n := 1; ; n++ {
		line, err := in.ReadBytes('\n')
		if len(line) > maxFindstr {
			fmt.Fprintf(c.err, "FINDSTR: Line %d is too long.\r\n", n)
			line = nil
		}
		if _, werr := c.out.Write(line); werr != nil {
			return 2
		}
		if err != nil {
			return findstrEnd(err, n)
		}
	}
}

// findstrEnd: 1 says that no line was found.
func findstrEnd(err error, lines int) int {
	if err != io.EOF || lines == 1 {
		return 1
	}
	return 0
}
