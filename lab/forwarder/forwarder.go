// Package forwarder writes Windows DLLs that hold nothing but forwarded
// exports: "when somebody asks for X, give them Y of that other DLL". Wine 8
// has no bcryptprimitives.dll, which every Go program asks for ProcessPrng;
// with this package the lab makes one without a C compiler.
package forwarder

import (
	"bytes"
	"encoding/binary"
	"errors"
	"sort"
)

// Layout of the file: headers in the first page, everything else in one
// section that begins at the second.
const (
	fileAlign    = 0x200
	sectionAlign = 0x1000
	sectionRVA   = sectionAlign
	imageBase    = 0x180000000
	exportSize   = 40
	relocSize    = 12
)

// DLL returns a 64-bit image called name. exports maps each exported name to
// its target, written "dll.function" without the extension.
func DLL(name string, exports map[string]string) ([]byte, error) {
	if name == "" || len(exports) == 0 {
		return nil, errors.New("build dll: no name or no exports")
	}
	section := exportSection(name, exports)
	out := append(headers(len(section)), section...)
	return append(out, make([]byte, align(len(section), fileAlign)-len(section))...), nil
}

// exportSection is the export directory, its three tables and the strings
// they point to. An address inside the directory itself is what makes an
// export a forwarder.
func exportSection(name string, exports map[string]string) []byte {
	names := make([]string, 0, len(exports))
	for n := range exports {
		names = append(names, n)
	}
	sort.Strings(names) // the loader searches by bisection

	n := uint32(len(names))
	functions := uint32(sectionRVA + exportSize)
	pointers := functions + 4*n
	ordinals := pointers + 4*n
	stringsAt := ordinals + 2*n

	var text bytes.Buffer
	put := func(s string) uint32 {
		at := stringsAt + uint32(text.Len())
		text.WriteString(s + "\x00")
		return at
	}
	dllName := put(name)
	var functionTable, nameTable, ordinalTable []uint32
	for i, exported := range names {
		nameTable = append(nameTable, put(exported))
		functionTable = append(functionTable, put(exports[exported]))
		ordinalTable = append(ordinalTable, uint32(i))
	}

	var b bytes.Buffer
	le(&b, uint32(0), uint32(0), uint32(0), dllName, uint32(1), n, n, functions, pointers, ordinals)
	le(&b, functionTable, nameTable)
	for _, o := range ordinalTable {
		le(&b, uint16(o))
	}
	b.Write(text.Bytes())
	return appendRelocations(b.Bytes())
}

// appendRelocations adds a relocation block without relocations: it says that
// the image may be loaded anywhere.
func appendRelocations(section []byte) []byte {
	section = append(section, make([]byte, align(len(section), 4)-len(section))...)
	var b bytes.Buffer
	le(&b, uint32(sectionRVA), uint32(relocSize), uint32(0))
	return append(section, b.Bytes()...)
}

func headers(sectionLen int) []byte {
	var b bytes.Buffer
	dos := make([]byte, 64)
	copy(dos, "MZ")
	binary.LittleEndian.PutUint32(dos[60:], 64) // where the PE header begins
	b.Write(dos)
	b.WriteString("PE\x00\x00")
	// File header: AMD64, one section; 240 bytes of optional header; executable, large addresses, DLL.
	le(&b, uint16(0x8664), uint16(1), uint32(0), uint32(0), uint32(0), uint16(240), uint16(0x2022))
	optionalHeader(&b, sectionLen)
	b.WriteString(".rdata\x00\x00")
	raw := uint32(align(sectionLen, fileAlign))
	// Initialised data, readable.
	le(&b, uint32(sectionLen), uint32(sectionRVA), raw, uint32(fileAlign),
		uint32(0), uint32(0), uint16(0), uint16(0), uint32(0x40000040))
	return append(b.Bytes(), make([]byte, fileAlign-b.Len())...)
}

func optionalHeader(b *bytes.Buffer, sectionLen int) {
	le(b, uint16(0x20b), uint16(0)) // PE32+
	// No code, one section of data, no entry point.
	le(b, uint32(0), uint32(align(sectionLen, fileAlign)), uint32(0), uint32(0), uint32(sectionRVA))
	le(b, uint64(imageBase), uint32(sectionAlign), uint32(fileAlign))
	le(b, uint16(6), uint16(0), uint16(0), uint16(0), uint16(6), uint16(0), uint32(0))
	le(b, uint32(sectionRVA+align(sectionLen, sectionAlign)), uint32(fileAlign), uint32(0))
	// Console subsystem; may move, no execution of data.
	le(b, uint16(3), uint16(0x140))
	le(b, uint64(0x100000), uint64(0x1000), uint64(0x100000), uint64(0x1000))
	le(b, uint32(0), uint32(16))
	directories := make([]uint32, 32)
	directories[0], directories[1] = sectionRVA, uint32(sectionLen-relocSize)
	directories[10], directories[11] = uint32(sectionRVA+sectionLen-relocSize), relocSize
	le(b, directories)
}

func le(b *bytes.Buffer, values ...any) {
	for _, v := range values {
		_ = binary.Write(b, binary.LittleEndian, v) // a Buffer takes everything
	}
}

func align(n, to int) int { return (n + to - 1) / to * to }
