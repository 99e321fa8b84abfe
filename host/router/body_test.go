package router

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestBodyStartsOver(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("0123456789", 2*replayable/10)
	for _, read := range []int{0, 1, 4096, replayable} {
		b := &body{client: io.NopCloser(strings.NewReader(text))}
		for range 3 { // each attempt reads a piece and fails
			if _, err := io.ReadFull(b, make([]byte, read)); err != nil {
				t.Fatal(err)
			}
			again, err := b.again()
			if err != nil {
				t.Fatalf("after %d bytes: %v", read, err)
			}
			if err := again.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := io.ReadAll(b); err != nil || string(got) != text {
			t.Errorf("after attempts of %d bytes: %d bytes, %v, want %d", read, len(got), err, len(text))
		}
	}
}

func TestBodyThatIsGoneIsNotSentAgain(t *testing.T) {
	t.Parallel()
	long := &body{client: io.NopCloser(bytes.NewReader(make([]byte, replayable+1)))}
	if _, err := io.ReadAll(long); err != nil {
		t.Fatal(err)
	}
	if _, err := long.again(); !errors.Is(err, errNotReplayable) {
		t.Errorf("after more than is kept: %v", err)
	}
	broken := &body{client: io.NopCloser(iotest.ErrReader(io.ErrUnexpectedEOF))}
	if _, err := io.ReadAll(broken); err == nil || !broken.isBroken() {
		t.Errorf("a client that broke off: %v, broken %v", err, broken.isBroken())
	}
	if err := broken.rewind(); !errors.Is(err, errNotReplayable) {
		t.Errorf("after the client broke off: %v", err)
	}
	late := &body{client: io.NopCloser(strings.NewReader("x"))}
	late.end()
	if n, err := late.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("a reader after the end got %d, %v", n, err)
	}
}

func TestOverlap(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{":80", "10.0.0.1:80", true},
		{"0.0.0.0:80", "[::]:80", true},
		{"10.0.0.1:80", "10.0.0.1:80", true},
		{"10.0.0.1:80", "10.0.0.2:80", false},
		{":80", ":81", false},
	} {
		if overlap(c.a, c.b) != c.want || overlap(c.b, c.a) != c.want {
			t.Errorf("%s and %s: want %v", c.a, c.b, c.want)
		}
	}
}
