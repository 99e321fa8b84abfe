package main

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"strings"
)

// failure is how certutil fails: an HRESULT, which is its exit code too.
type failure struct {
	code uint32
	name string
	text string
}

func (f *failure) Error() string { return f.text }

var (
	notFound    = &failure{0x80070002, "WIN32: 2 ERROR_FILE_NOT_FOUND", "The system cannot find the file specified."}
	denied      = &failure{0x80070005, "WIN32: 5 ERROR_ACCESS_DENIED", "Access is denied."}
	fileExists  = &failure{0x80070050, "WIN32: 80 ERROR_FILE_EXISTS", "The file exists."}
	fileInvalid = &failure{0x800703ee, "WIN32: 1006 ERROR_FILE_INVALID", "The volume for a file has been externally altered so that the opened file is no longer valid."}
	invalidArg  = &failure{0x80070057, "WIN32: 87 ERROR_INVALID_PARAMETER", "The parameter is incorrect."}
	invalidData = &failure{0x8007000d, "WIN32: 13 ERROR_INVALID_DATA", "The data is invalid."}
)

// certutil knows -hashfile FILE [ALGORITHM] and [-f] -decode IN OUT.
func certutil(args []string, c console) int {
	force := false
	if len(args) > 0 && strings.EqualFold(strings.TrimLeft(args[0], "-/"), "f") {
		force, args = true, args[1:]
	}
	if len(args) == 0 {
		return report(c, "", invalidArg)
	}
	verb := strings.ToLower(strings.TrimLeft(args[0], "-/"))
	switch {
	case verb == "hashfile" && len(args) >= 2 && len(args) <= 3:
		algorithm := "SHA1"
		if len(args) == 3 {
			algorithm = strings.ToUpper(args[2])
		}
		return report(c, verb, hashFile(c, args[1], algorithm))
	case verb == "decode" && len(args) == 3:
		return report(c, verb, decode(c, args[1], args[2], force))
	}
	return report(c, verb, invalidArg)
}

// report ends the output as certutil does.
func report(c console, verb string, err error) int {
	if err == nil {
		fmt.Fprintf(c.out, "CertUtil: -%s command completed successfully.\r\n", verb)
		return 0
	}
	var f *failure
	switch {
	case errors.As(err, &f):
	case errors.Is(err, fs.ErrNotExist):
		f = notFound
	case errors.Is(err, fs.ErrExist):
		f = fileExists
	default:
		f = denied
	}
	fmt.Fprintf(c.out, "CertUtil: -%s command FAILED: 0x%08x (%s)\r\nCertUtil: %s\r\n", verb, f.code, f.name, f.text)
	return int(f.code)
}

func hashFile(c console, file, algorithm string) error {
	makers := map[string]func() hash.Hash{"MD5": md5.New, "SHA1": sha1.New, "SHA256": sha256.New, "SHA384": sha512.New384, "SHA512": sha512.New}
	maker := makers[algorithm]
	if maker == nil {
		return invalidArg
	}
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	h := maker()
	n, err := io.Copy(h, f)
	if err != nil {
		return err
	}
	if n == 0 {
		return fileInvalid // the original maps the file, and cannot map nothing
	}
	fmt.Fprintf(c.out, "%s hash of %s:\r\n%x\r\n", algorithm, file, h.Sum(nil))
	return nil
}

func decode(c console, from, to string, force bool) error {
	in, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	var text []byte
	for line := range bytes.Lines(in) {
		if !bytes.HasPrefix(line, []byte("-----")) {
			text = append(text, bytes.TrimSpace(line)...)
		}
	}
	out, err := base64.StdEncoding.DecodeString(string(text))
	if err != nil {
		return invalidData
	}
	mode := os.O_CREATE | os.O_WRONLY | os.O_TRUNC
	if !force {
		mode |= os.O_EXCL
	}
	f, err := os.OpenFile(to, mode, 0o755)
	if err != nil {
		return err
	}
	_, err = f.Write(out)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	fmt.Fprintf(c.out, "Input Length = %d\r\nOutput Length = %d\r\n", len(in), len(out))
	return nil
}
