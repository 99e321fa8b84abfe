package strict

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// corpus reads requests by name, one quoted on each line.
func corpus(t testing.TB, file string) map[string]string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for line := range strings.Lines(string(data)) {
		what, quoted, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if all[what], err = strconv.Unquote(quoted); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	return all
}

// whole are requests that must pass as they are.
func whole(t testing.TB) map[string]string { return corpus(t, "passed.txt") }

// smuggled are requests that some server reads in another way than the next.
func smuggled(t testing.TB) map[string]string {
	all := corpus(t, "refused.txt")
	all["endless line"] = "GET /" + strings.Repeat("a", maxLine) + " HTTP/1.1\r\nHost: a\r\n\r\n"
	return all
}

func TestWhatIsWholePasses(t *testing.T) {
	t.Parallel()
	for what, text := range whole(t) {
		for size := 1; size <= len(text); size += 1 + size/3 {
			var s Scanner
			if err := feed(&s, text, size); err != nil || s.state != requestLine || len(s.part) != 0 {
				t.Errorf("%s, in pieces of %d: %v, state %d", what, size, err, s.state)
			}
		}
	}
}

func feed(s *Scanner, text string, size int) error {
	for len(text) > 0 {
		piece := text[:min(size, len(text))]
		n, err := s.Scan([]byte(piece))
		if err != nil {
			return err
		}
		text = text[n:]
	}
	return nil
}

// What is refused is refused however it is cut into pieces, and its head or
// its body never ends for who reads behind the scanner.
func TestWhatIsSmuggledIsRefused(t *testing.T) {
	t.Parallel()
	for what, text := range smuggled(t) {
		for _, size := range []int{1, 2, 3, 7, len(text)} {
			var refusal Refusal
			var s Scanner
			if err := feed(&s, text, size); !errors.As(err, &refusal) {
				t.Errorf("%s, in pieces of %d: %v", what, size, err)
			}
		}
	}
}

func TestAnotherProtocolPasses(t *testing.T) {
	t.Parallel()
	var s Scanner
	if err := feed(&s, preface+"\r\n\r\nSM\r\n\r\n\x00\x00\n", 5); err != nil {
		t.Error(err)
	}
}

// FuzzScanner asks net/http about everything that passes: it must see the
// same requests end at the same places.
func FuzzScanner(f *testing.F) {
	for _, text := range whole(f) {
		f.Add([]byte(text), 3)
	}
	for _, text := range smuggled(f) {
		if len(text) < 1000 {
			f.Add([]byte(text), 1000)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, size int) {
		if size < 1 {
			size = 1
		}
		var s Scanner
		if feed(&s, string(data), size) != nil || s.state == anything {
			return
		}
		requests, body, rest, ok := oracle(data)
		if !ok {
			return // it refuses more
		}
		if requests != s.requests || body != s.body {
			t.Fatalf("%q: %d requests with %d bytes, net/http sees %d with %d", data, s.requests, s.body, requests, body)
		}
		if between := s.state == requestLine && len(s.part) == 0; between != (rest == 0) {
			t.Fatalf("%q: between requests %v, net/http has %d bytes left", data, between, rest)
		}
	})
}

// oracle counts the requests whose heads end, the bytes of their bodies, and
// what is left of one that does not end.
func oracle(data []byte) (requests int, body int64, rest int, ok bool) {
	in := bytes.NewReader(data)
	r := bufio.NewReaderSize(in, len(data)+16)
	for {
		left := in.Len() + r.Buffered()
		if left == 0 {
			return requests, body, 0, true
		}
		req, err := http.ReadRequest(r)
		if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
			return requests, body, left, true
		}
		if err != nil {
			return 0, 0, 0, false
		}
		requests++
		n, err := io.Copy(io.Discard, req.Body)
		body += n
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return requests, body, 1, true
		}
		if err != nil {
			return 0, 0, 0, false
		}
	}
}

func BenchmarkHead(b *testing.B) {
	text := []byte("GET /orders/17?expand=lines HTTP/1.1\r\nHost: shop.example.com\r\nUser-Agent: bench/1.0\r\n" +
		"Accept: application/json\r\nAccept-Encoding: gzip\r\nCookie: session=0123456789abcdef\r\n\r\n")
	var s Scanner
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Scan(text); err != nil {
			b.Fatal(err)
		}
	}
}
