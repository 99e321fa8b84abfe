// Package strict reads the bytes of an HTTP/1 client before anybody else does,
// and stops at the first of which two servers might disagree where a request
// ends. Behind it stands a parser that forgives more than the instances may.
package strict

import (
	"bytes"
	"math"
)

const (
	maxLine  = 64 << 10 // bytes
	maxChunk = 256      // bytes of a line with a chunk's size
	preface  = "PRI * HTTP/2.0"
)

// Refusal says what is wrong with a request.
type Refusal string

func (r Refusal) Error() string { return "request refused: " + string(r) }

type state int

const (
	requestLine state = iota
	headerLine
	fixedBody
	chunkSize
	chunkData
	chunkEnd
	trailerLine
	anything // HTTP/2, or what follows a switch of protocols
)

// Scanner follows one connection. The zero value is at its beginning.
type Scanner struct {
	state state
	part  []byte // of a line that has not ended
	left  int64  // bytes of the body, or of a chunk
	head  head

	requests int   // heads that ended
	body     int64 // bytes of bodies
}

// Scan looks at the next bytes and says how many of them may go on. After an
// error nothing may.
func (s *Scanner) Scan(p []byte) (int, error) {
	for n := 0; n < len(p); {
		switch s.state {
		case anything:
			return len(p), nil
		case fixedBody, chunkData:
			n += s.skip(len(p) - n)
			continue
		}
		end := bytes.IndexByte(p[n:], '\n')
		if end < 0 {
			return len(p), s.keep(p[n:])
		}
		line := p[n : n+end]
		if len(s.part) > 0 {
			line = append(s.part, line...)
			s.part = line[:0]
		}
		if err := s.take(line); err != nil {
			return n, err
		}
		n += end + 1
	}
	return len(p), nil
}

// skip passes over at most n bytes of a body.
func (s *Scanner) skip(n int) int {
	n = int(min(int64(n), s.left))
	s.left -= int64(n)
	s.body += int64(n)
	if s.left > 0 {
		return n
	}
	if s.state == fixedBody {
		s.state = requestLine
	} else {
		s.state = chunkEnd
	}
	return n
}

func (s *Scanner) keep(part []byte) error {
	limit := maxLine
	if s.state == chunkSize || s.state == chunkEnd {
		limit = maxChunk
	}
	if len(s.part)+len(part) > limit {
		return Refusal("a line is too long")
	}
	s.part = append(s.part, part...)
	return nil
}

// take reads a line, which ended with LF.
func (s *Scanner) take(line []byte) error {
	switch {
	case len(line) == 0 || line[len(line)-1] != '\r':
		return Refusal("a line ends without CR")
	case len(line) > maxLine:
		return Refusal("a line is too long")
	}
	line = line[:len(line)-1]
	if !clean(line) {
		return Refusal("a control character")
	}
	switch s.state {
	case requestLine:
		return s.begin(line)
	case headerLine:
		if len(line) == 0 {
			return s.endHead()
		}
		return s.head.field(line)
	case chunkSize:
		return s.chunk(line)
	case chunkEnd:
		if len(line) != 0 {
			return Refusal("a chunk is longer than its size")
		}
		s.state = chunkSize
	case trailerLine:
		if len(line) == 0 {
			s.state = requestLine
			return nil
		}
		return trailer(line)
	}
	return nil
}

func (s *Scanner) begin(line []byte) error {
	if s.requests == 0 && string(line) == preface {
		s.state = anything
		return nil
	}
	s.head.reset()
	s.state = headerLine
	return s.head.request(line)
}

func (s *Scanner) endHead() error {
	if err := s.head.check(); err != nil {
		return err
	}
	s.requests++
	switch {
	case s.head.chunked:
		s.state = chunkSize
	case s.head.length > 0:
		s.state, s.left = fixedBody, s.head.length
	default:
		s.state = requestLine
	}
	return nil
}

// chunk reads the size of one, and what may follow it.
func (s *Scanner) chunk(line []byte) error {
	size, extension, found := bytes.Cut(line, []byte(";"))
	if found && len(extension) == 0 || len(size) == 0 || len(size) > 15 || len(line) > maxChunk {
		return Refusal("no size of a chunk")
	}
	var n int64
	for _, c := range size {
		digit := bytes.IndexByte([]byte("0123456789abcdef"), c|0x20)
		if digit < 0 || c < '0' {
			return Refusal("no size of a chunk")
		}
		n = n<<4 | int64(digit)
	}
	if n > math.MaxInt64/2 {
		return Refusal("a chunk is too long")
	}
	s.state, s.left = chunkData, n
	if n == 0 {
		s.state = trailerLine
	}
	return nil
}

// clean: no control character but the tab.
func clean(line []byte) bool {
	for _, c := range line {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}
