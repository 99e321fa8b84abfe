package forwarder_test

import (
	"bytes"
	"debug/pe"
	"encoding/binary"
	"testing"

	"github.com/go-shipper/shipper/lab/forwarder"
)

func TestImageIsWellFormed(t *testing.T) {
	image, err := forwarder.DLL("two.dll", map[string]string{"Zeta": "b.Z", "Alpha": "a.A"})
	if err != nil {
		t.Fatal(err)
	}
	f, err := pe.NewFile(bytes.NewReader(image))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.Machine != pe.IMAGE_FILE_MACHINE_AMD64 || f.Characteristics&pe.IMAGE_FILE_DLL == 0 {
		t.Fatalf("machine %#x characteristics %#x", f.Machine, f.Characteristics)
	}
	got := exports(t, f)
	want := map[string]string{"Zeta": "b.Z", "Alpha": "a.A"}
	if len(got) != len(want) || got["Zeta"] != "b.Z" || got["Alpha"] != "a.A" {
		t.Fatalf("exports %v, want %v", got, want)
	}
}

// exports reads the table as a loader does: name, ordinal, address; every
// address must lie inside the directory, or it would be taken for code.
func exports(t *testing.T, f *pe.File) map[string]string {
	t.Helper()
	dir := f.OptionalHeader.(*pe.OptionalHeader64).DataDirectory[0]
	section := f.Sections[0]
	data, err := section.Data()
	if err != nil {
		t.Fatal(err)
	}
	at := func(rva uint32) []byte { return data[rva-section.VirtualAddress:] }
	u32 := func(b []byte) uint32 { return binary.LittleEndian.Uint32(b) }
	text := func(rva uint32) string { b, _, _ := bytes.Cut(at(rva), []byte{0}); return string(b) }
	head := at(dir.VirtualAddress)
	out := map[string]string{}
	for i := range u32(head[24:]) {
		name := text(u32(at(u32(head[32:]) + 4*i)))
		ordinal := binary.LittleEndian.Uint16(at(u32(head[36:]) + 2*i))
		target := u32(at(u32(head[28:]) + 4*uint32(ordinal)))
		if target < dir.VirtualAddress || target >= dir.VirtualAddress+dir.Size {
			t.Fatalf("%s: target %#x outside the directory", name, target)
		}
		out[name] = text(target)
	}
	return out
}

func TestEmptyIsRefused(t *testing.T) {
	if _, err := forwarder.DLL("x.dll", nil); err == nil {
		t.Error("no exports: accepted")
	}
	if _, err := forwarder.DLL("", map[string]string{"A": "b.C"}); err == nil {
		t.Error("no name: accepted")
	}
}
