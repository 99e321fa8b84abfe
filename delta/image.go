package delta

import (
	"bytes"
	"debug/elf"
	"debug/pe"
	"sort"
)

// segment is a piece of the old file that a loader puts at an address; the
// new file's piece of the same name lies shift bytes farther from its place in
// the file than the old one did. So a delta can foretell how addresses change.
type segment struct {
	start, size, address, shift int
	code                        bool
}

// image is what is known about where an executable lies in memory.
type image struct {
	base     uint64 // added to addresses in pointers
	segments []segment
}

const (
	maxSegments = 64
	maxAddress  = 1 << 31
)

// layout compares two executables; of what is none it knows nothing, and
// takes places in the file for addresses.
func layout(old, new []byte) image {
	base, from := sections(old)
	_, to := sections(new)
	img := image{base: base}
	for name, s := range from {
		if t, ok := to[name]; ok && s.fits(len(old)) && t.fits(len(new)) && len(img.segments) < maxSegments {
			s.shift = (t.address - t.start) - (s.address - s.start)
			img.segments = append(img.segments, s)
		}
	}
	if len(img.segments) == 0 && len(old) > 0 {
		return image{segments: []segment{{size: len(old)}}}
	}
	sort.Slice(img.segments, func(i, j int) bool { return img.segments[i].start < img.segments[j].start })
	return img
}

func sections(exe []byte) (uint64, map[string]segment) {
	out := map[string]segment{}
	if f, err := pe.NewFile(bytes.NewReader(exe)); err == nil {
		var base uint64
		if h, ok := f.OptionalHeader.(*pe.OptionalHeader64); ok {
			base = h.ImageBase
		}
		for _, s := range f.Sections {
			out[s.Name] = segment{start: int(s.Offset), size: int(s.Size), address: int(s.VirtualAddress), code: s.Characteristics&pe.IMAGE_SCN_CNT_CODE != 0}
		}
		return base, out
	}
	if f, err := elf.NewFile(bytes.NewReader(exe)); err == nil {
		for _, s := range f.Sections {
			if s.Type == elf.SHT_PROGBITS && s.Flags&elf.SHF_ALLOC != 0 {
				out[s.Name] = segment{start: int(s.Offset), size: int(s.Size), address: int(s.Addr), code: s.Flags&elf.SHF_EXECINSTR != 0}
			}
		}
	}
	return 0, out
}

func (s segment) fits(size int) bool {
	return s.size > 0 && s.start+s.size <= size && s.address < maxAddress/2
}

// at is the segment of a place in the old file, or nil.
func (m *image) at(old int) *segment {
	for i := range m.segments {
		if s := &m.segments[i]; old >= s.start && old < s.start+s.size {
			return s
		}
	}
	return nil
}

// holding is the segment of an address. What a loader adds behind the bytes
// of a file belongs to the segment before it.
func (m *image) holding(address int) *segment {
	for i := len(m.segments) - 1; i >= 0; i-- {
		if s := &m.segments[i]; address >= s.address {
			return s
		}
	}
	return nil
}
