package rpc

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

func wire(frames ...frame) []byte {
	var b []byte
	for i, f := range frames {
		b = appendFrame(b, uint64(i), f)
	}
	return b
}

func readAll(b []byte) ([]frame, error) {
	r := newFrameReader(bytes.NewReader(b), dataReader)
	var out []frame
	for {
		f, err := r.read()
		if err != nil {
			return out, err
		}
		out = append(out, f)
	}
}

func TestFramesComeBackAsTheyWere(t *testing.T) {
	want := []frame{
		{kind: kindHello, payload: []byte("{}")},
		{kind: kindData, stream: 7, offset: 1 << 40, payload: bytes.Repeat([]byte{0xff}, MaxPayload)},
		{kind: kindRequest, stream: 1<<32 - 1, more: true, payload: []byte("x")},
		{kind: kindAck, stream: 7, offset: 9, payload: []byte{}},
	}
	got, err := readAll(wire(want...))
	if !errors.Is(err, io.EOF) || len(got) != len(want) {
		t.Fatalf("got %d frames, %v", len(got), err)
	}
	for i := range want {
		if got[i].kind != want[i].kind || got[i].stream != want[i].stream || got[i].offset != want[i].offset ||
			got[i].more != want[i].more || !bytes.Equal(got[i].payload, want[i].payload) {
			t.Errorf("frame %d: got %v, want %v", i, got[i], want[i])
		}
	}
}

func TestFramesDamaged(t *testing.T) {
	a, b := frame{kind: kindRequest, stream: 1, payload: []byte("first")}, frame{kind: kindRequest, stream: 2, payload: []byte("second")}
	one, two := appendFrame(nil, 0, a), appendFrame(nil, 1, b)
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	tests := []struct {
		name   string
		wire   []byte
		frames int
		err    error
	}{
		{"written twice", join(one, one, two, two), 2, io.EOF},
		{"both written twice", join(one, two, one, two), 2, io.EOF},
		{"first missing", two, 0, ErrGap},
		{"torn in the header", join(one, two[:20]), 1, ErrTorn},
		{"torn in the payload", join(one, two[:headerSize+2]), 1, ErrTorn},
		{"torn after the header", join(one, two[:headerSize]), 1, ErrTorn},
		{"a shell's complaint", []byte("'shipper-host' is not recognized"), 0, ErrCorrupt},
		{"too long", appendFrame(nil, 0, frame{payload: make([]byte, MaxPayload+1)}), 0, ErrCorrupt},
		{"nothing", nil, 0, io.EOF},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := readAll(tt.wire)
			if len(got) != tt.frames || !errors.Is(err, tt.err) {
				t.Errorf("got %d frames and %v, want %d and %v", len(got), err, tt.frames, tt.err)
			}
		})
	}
}

func TestFramesWithAnyByteChangedAreRefused(t *testing.T) {
	good := wire(frame{kind: kindData, stream: 3, offset: 12, payload: []byte("payload")})
	for at := range good {
		for _, flip := range []byte{0x01, 0x80, 0xff} {
			bad := bytes.Clone(good)
			bad[at] ^= flip
			if got, err := readAll(bad); len(got) != 0 || !errors.Is(err, ErrCorrupt) {
				t.Fatalf("byte %d ^ %#x: got %d frames and %v", at, flip, len(got), err)
			}
		}
	}
}

func TestMessagesAreBounded(t *testing.T) {
	var a assembler
	var err error
	for at := 0; err == nil && at <= 2*MaxMessage; at += MaxPayload {
		_, _, err = a.add(frame{stream: 1, more: true, offset: uint64(at), payload: make([]byte, MaxPayload)})
	}
	if !errors.Is(err, ErrProtocol) {
		t.Fatalf("got %v, want %v", err, ErrProtocol)
	}
}

func TestMessagesSurviveCutting(t *testing.T) {
	for _, n := range []int{0, 1, 9, 10, 11, 95} {
		message := bytes.Repeat([]byte("m"), n)
		var a assembler
		for i, f := range cut(kindReply, 4, message, 10) {
			got, whole, err := a.add(f)
			if err != nil || whole != (!f.more) {
				t.Fatalf("%d bytes, piece %d: %v %v", n, i, whole, err)
			}
			if whole && !bytes.Equal(got, message) {
				t.Fatalf("%d bytes: got %q", n, got)
			}
		}
		if a.bytes != 0 || len(a.parts) != 0 {
			t.Errorf("%d bytes: %d remain booked", n, a.bytes)
		}
	}
}

func FuzzFrames(f *testing.F) {
	f.Add(wire(frame{kind: kindHello, payload: []byte("{}")}, frame{kind: kindAck, stream: 1}))
	f.Add([]byte("SHP1"))
	f.Fuzz(func(t *testing.T, b []byte) {
		frames, err := readAll(b)
		if err == nil {
			t.Fatal("no end")
		}
		for _, x := range frames {
			if len(x.payload) > MaxPayload {
				t.Fatal("unbounded payload")
			}
		}
		if again, _ := readAll(wire(frames...)); len(again) != len(frames) {
			t.Fatalf("%d frames written, %d read", len(frames), len(again))
		}
	})
}
