package helper

import (
	"bytes"
	"debug/pe"
	"os"
	"strings"

	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/release"
)

// Given is a build that the user names instead, because it is signed or was
// reviewed.
type Given struct {
	Path   string
	SHA256 string // what it must be
}

// FindGiven returns the one of the files that hosts of goarch run: Windows
// builds say for which processor they are. A file that is not what its digest
// says is refused, whichever host it is for.
func FindGiven(files []Given, goarch string) (Helper, error) {
	var found Helper
	for _, f := range files {
		exe, err := os.ReadFile(f.Path)
		if err != nil {
			return Helper{}, problem.Wrap(problem.Usage, err, "read the helper of bootstrap.helper", "name the file that was signed")
		}
		got := release.Of(exe)
		if string(got) != strings.ToLower(f.SHA256) {
			return Helper{}, problem.New(problem.Verification, "if the file was signed anew, set the new digest in bootstrap.helper",
				"the helper %s has digest %s, not %s", f.Path, got, f.SHA256)
		}
		arch, err := archOf(exe)
		if err != nil {
			return Helper{}, problem.Wrap(problem.Usage, err, "read the helper "+f.Path, "name a Windows build of shipper-host")
		}
		if arch == goarch {
			found = Helper{Bytes: exe, SHA256: got, Source: f.Path}
		}
	}
	if found.Bytes == nil {
		return Helper{}, problem.New(problem.Usage, "add a build for it to bootstrap.helper, as a list", "bootstrap.helper names no helper for windows/%s", goarch)
	}
	return found, nil
}

// archOf reads GOARCH from the header of a Windows executable.
func archOf(exe []byte) (string, error) {
	f, err := pe.NewFile(bytes.NewReader(exe))
	if err != nil {
		return "", err
	}
	switch f.Machine {
	case pe.IMAGE_FILE_MACHINE_AMD64:
		return "amd64", nil
	case pe.IMAGE_FILE_MACHINE_ARM64:
		return "arm64", nil
	}
	return "", problem.New(problem.Usage, "", "it is for machine %#x", f.Machine)
}
