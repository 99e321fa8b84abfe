package host

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/release"
)

// Bounds of what is read of a log at once.
const (
	maxLogPiece  = 256 << 10
	defaultLines = 100
	lastLines    = 10
)

// readLog returns the end of a slot's log, or what came after an offset.
func (s *service) readLog(slot release.Slot, p rpc.Logs) (rpc.LogsReply, error) {
	path := newestLog(s.g.opts.Layout.Logs(s.name, slot))
	if path == "" {
		return rpc.LogsReply{Slot: slot}, nil
	}
	reply, err := readLogFile(path, p)
	reply.Slot = slot
	return reply, err
}

func readLogFile(path string, p rpc.Logs) (reply rpc.LogsReply, err error) {
	f, err := os.Open(path)
	if err != nil {
		return reply, fmt.Errorf("read log: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return reply, fmt.Errorf("read log: %w", err)
	}
	from := p.Offset
	tail := from <= 0
	switch {
	case tail:
		from = max(0, info.Size()-maxLogPiece)
	case from > info.Size(): // it was rotated
		from = 0
	}
	b, err := io.ReadAll(io.NewSectionReader(f, from, maxLogPiece))
	if err != nil {
		return reply, fmt.Errorf("read log: %w", err)
	}
	reply.Offset = from + int64(len(b))
	if tail {
		lines := p.Lines
		if lines <= 0 {
			lines = defaultLines
		}
		b = lastOf(b, lines)
	}
	reply.Text = strings.ToValidUTF8(string(b), "\uFFFD")
	return reply, nil
}

// newestLog is the log that is being written; empty if there is none.
func newestLog(dir string) string {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || err != nil {
		return ""
	}
	var newest fs.FileInfo
	for _, e := range entries {
		// Windows writes a file's time into its folder only when it is closed.
		info, err := os.Lstat(filepath.Join(dir, e.Name()))
		if err != nil || !info.Mode().IsRegular() || filepath.Ext(e.Name()) != ".log" {
			continue
		}
		if newest == nil || info.ModTime().After(newest.ModTime()) || info.ModTime().Equal(newest.ModTime()) && e.Name() == "out.log" {
			newest = info
		}
	}
	if newest == nil {
		return ""
	}
	return filepath.Join(dir, newest.Name())
}

func lastOf(b []byte, lines int) []byte {
	end := len(b)
	if end > 0 && b[end-1] == '\n' {
		end--
	}
	at := end
	for ; lines > 0 && at >= 0; lines-- {
		at = bytes.LastIndexByte(b[:at], '\n')
	}
	return b[at+1:]
}

// lastWords are the last lines of a slot's log, for an error's text.
func (s *service) lastWords(slot release.Slot) string {
	path := newestLog(s.g.opts.Layout.Logs(s.name, slot))
	if path == "" {
		return ""
	}
	return lastWordsIn(path)
}

func lastWordsIn(path string) string {
	reply, err := readLogFile(path, rpc.Logs{Lines: lastLines})
	text := strings.TrimSpace(reply.Text)
	if err != nil || text == "" {
		return ""
	}
	if n := len(text); n > 2000 {
		text = "…" + text[n-2000:]
	}
	return "; its log ends with:\n" + text
}
