package main

import (
	archive "archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// tarOptions are the options of bsdtar that scripts use.
type tarOptions struct {
	extract, list, verbose, keep bool
	file, dir                    string
}

// complaint is an error in the words of bsdtar.
type complaint string

func (c complaint) Error() string { return string(c) }

// tar is bsdtar, as Windows has it since Server 2019: -x and -t of plain and
// gzipped archives. Names with ".." are refused one by one, the others are
// extracted, and the exit code tells.
func tar(args []string, c console) int {
	o, err := parseTar(args)
	if err != nil {
		fmt.Fprintf(c.err, "tar.exe: %v\r\n", err)
		return 1
	}
	if err := os.Chdir(o.dir); err != nil {
		fmt.Fprintf(c.err, "tar.exe: could not chdir to '%s'\r\n", o.dir)
		return 1
	}
	in := c.in
	if o.file != "-" {
		f, err := os.Open(o.file)
		if err != nil {
			fmt.Fprintf(c.err, "tar.exe: Error opening archive: Failed to open '%s'\r\n", o.file)
			return 1
		}
		defer f.Close()
		in = f
	}
	failed, err := o.read(in, c)
	if err != nil {
		fmt.Fprintf(c.err, "tar.exe: %v\r\n", err)
		return 1
	}
	if failed {
		fmt.Fprint(c.err, "tar.exe: Error exit delayed from previous errors.\r\n")
		return 1
	}
	return 0
}

func parseTar(args []string) (tarOptions, error) {
	o := tarOptions{file: `\\.\tape0`, dir: "."}
	for first := true; len(args) > 0; first = false {
		word := args[0]
		args = args[1:]
		letters, dashed := strings.CutPrefix(word, "-")
		if !dashed && !first {
			return o, complaint(word + ": Not found in archive")
		}
		for i, letter := range letters {
			switch letter {
			case 'x':
				o.extract = true
			case 't':
				o.list = true
			case 'v':
				o.verbose = true
			case 'k':
				o.keep = true
			case 'z', 'p', 'm':
			case 'f', 'C':
				value := letters[i+1:]
				if value == "" && len(args) > 0 {
					value, args = args[0], args[1:]
				}
				if value == "" {
					return o, complaint(fmt.Sprintf("Option -%c requires an argument", letter))
				}
				if letter == 'f' {
					o.file = value
				} else {
					o.dir = value
				}
			default:
				return o, complaint(fmt.Sprintf("Option -%c is not supported", letter))
			}
			if letter == 'f' || letter == 'C' {
				break
			}
		}
	}
	if o.extract == o.list {
		return o, complaint("Must specify one of -c, -r, -t, -u, -x")
	}
	return o, nil
}

// read goes through the archive; failed says that some entries were not extracted.
func (o tarOptions) read(in io.Reader, c console) (failed bool, err error) {
	buffered := bufio.NewReaderSize(in, 256<<10)
	magic, _ := buffered.Peek(2) // too short is decided below
	if len(magic) == 0 {
		return false, nil // an empty file is an empty archive
	}
	in = buffered
	if bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		if in, err = gzip.NewReader(buffered); err != nil {
			return false, complaint("Error opening archive: Unrecognized archive format")
		}
	}
	r := archive.NewReader(in)
	for n := 0; ; n++ {
		h, err := r.Next()
		switch {
		case errors.Is(err, io.EOF):
			return failed, nil
		case errors.Is(err, io.ErrUnexpectedEOF):
			return false, complaint("Truncated tar archive")
		case err != nil && n == 0:
			return false, complaint("Error opening archive: Unrecognized archive format")
		case err != nil:
			return false, complaint("Damaged tar archive")
		}
		if err := o.entry(h, r, c); err != nil {
			fmt.Fprintf(c.err, "tar.exe: %s: %v\r\n", h.Name, err)
			failed = true
			if errors.Is(err, io.ErrUnexpectedEOF) {
				return false, complaint("Truncated tar archive")
			}
		}
	}
}

func (o tarOptions) entry(h *archive.Header, r io.Reader, c console) error {
	if o.list {
		fmt.Fprintf(c.out, "%s\r\n", h.Name)
		return nil
	}
	if o.verbose {
		fmt.Fprintf(c.err, "x %s\r\n", h.Name)
	}
	name, err := memberPath(h.Name)
	if err != nil {
		return err
	}
	switch h.Typeflag {
	case archive.TypeDir:
		return os.MkdirAll(name, 0o755)
	case archive.TypeReg:
		return o.writeFile(name, h, r)
	}
	return complaint("Can't create: the stand-in knows files and folders only")
}

// memberPath is where an entry goes: below the folder, or nowhere.
func memberPath(name string) (string, error) {
	name = strings.ReplaceAll(name, `\`, "/")
	if len(name) > 1 && name[1] == ':' {
		name = name[2:]
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return "", complaint("Path contains '..'")
		}
	}
	name = strings.TrimLeft(path.Clean("/"+name), "/")
	if name == "" {
		return ".", nil
	}
	return filepath.FromSlash(name), nil
}

// writeFile writes one file anew, as bsdtar does: what was there is unlinked.
func (o tarOptions) writeFile(name string, h *archive.Header, r io.Reader) error {
	if _, err := os.Lstat(name); err == nil {
		if o.keep {
			return nil
		}
		if err := os.Remove(name); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	_, err = io.CopyBuffer(struct{ io.Writer }{f}, r, make([]byte, 256<<10))
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Chtimes(name, h.ModTime, h.ModTime)
}
