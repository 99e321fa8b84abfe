package helper

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/release"
)

// executable is the header of a Windows program for a machine.
func executable(machine uint16, words string) []byte {
	b := make([]byte, 0x80, 256)
	copy(b, "MZ")
	binary.LittleEndian.PutUint32(b[0x3c:], 0x80)
	b = append(b, "PE\x00\x00"...)
	b = binary.LittleEndian.AppendUint16(b, machine)
	return append(append(b, make([]byte, 18)...), words...)
}

func given(t *testing.T, exe []byte) Given {
	t.Helper()
	file := filepath.Join(t.TempDir(), "shipper-host.exe")
	if err := os.WriteFile(file, exe, 0o600); err != nil {
		t.Fatal(err)
	}
	return Given{Path: file, SHA256: strings.ToUpper(string(release.Of(exe)))}
}

func TestFindGiven(t *testing.T) {
	amd64, arm64 := given(t, executable(0x8664, "amd64")), given(t, executable(0xaa64, "arm64"))
	for arch, want := range map[string]Given{"amd64": amd64, "arm64": arm64} {
		h, err := FindGiven([]Given{amd64, arm64}, arch)
		if err != nil || h.Source != want.Path || string(h.SHA256) != strings.ToLower(want.SHA256) {
			t.Errorf("%s: %+v, %v", arch, h, err)
		}
	}
	cases := []struct {
		name  string
		files []Given
		kind  problem.Kind
	}{
		{"other content", []Given{{arm64.Path, amd64.SHA256}}, problem.Verification},
		{"other content of another architecture", []Given{amd64, {arm64.Path, amd64.SHA256}}, problem.Verification},
		{"no such file", []Given{{amd64.Path + ".none", amd64.SHA256}}, problem.Usage},
		{"none for the host", []Given{arm64}, problem.Usage},
		{"no Windows program", []Given{given(t, []byte("#!/bin/sh\n"))}, problem.Usage},
		{"unknown machine", []Given{given(t, executable(0x14c, "386"))}, problem.Usage},
	}
	for _, c := range cases {
		if _, err := FindGiven(c.files, "amd64"); err == nil || problem.KindOf(err) != c.kind {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
