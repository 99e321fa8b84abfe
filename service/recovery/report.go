package recovery

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

const (
	maxText      = 4 << 20   // of a crash: goroutines without end
	maxTail      = 256 << 10 // of the log
	reportStamp  = "20060102T150405.000000"
	reportPrefix = "crash-"
	reportSuffix = ".txt"
	silent       = "ended without a word: killed from outside, or out of memory"
)

// write makes the report of a run that crashed.
func (c *Crashes) write(mark running, text []byte) (Report, error) {
	now := time.Now()
	r := Report{Found: now, Version: mark.Version, Started: mark.Started, Reason: reason(text),
		Path: c.path(reportPrefix + now.UTC().Format(reportStamp) + reportSuffix)}
	var b bytes.Buffer
	fmt.Fprintf(&b, "service: %s\nversion: %s\nprocess: %d\nstarted: %s\nfound:   %s\nreason:  %s\n",
		c.o.Name, mark.Version, mark.PID, mark.Started.Format(time.RFC3339Nano), now.Format(time.RFC3339Nano), r.Reason)
	fmt.Fprintf(&b, "\n%s\n", bytes.TrimSpace(text))
	if c.o.LogFile != "" {
		lines, err := lastLines(c.o.LogFile, c.o.Lines)
		if err != nil {
			lines = err.Error()
		}
		fmt.Fprintf(&b, "\nlast lines of %s:\n%s\n", c.o.LogFile, lines)
	}
	if err := writeFlushed(r.Path, b.Bytes()); err != nil {
		return Report{}, fmt.Errorf("write crash report: %w", err)
	}
	return r, c.prune()
}

// reason is what Go says first, as "panic: …". Of a fatal error it gives us the
// stack only; then it is the function that met it.
func reason(text []byte) string {
	first, stack, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	switch {
	case first == "":
		return silent
	case strings.HasPrefix(first, "goroutine "):
		first = "fatal error in " + metIn(stack)
	}
	const enough = 500
	return strings.ToValidUTF8(first[:min(len(first), enough)], "")
}

// metIn is the first function of a stack that is not the runtime's own.
func metIn(stack string) string {
	for line := range strings.Lines(stack) {
		arguments := strings.LastIndexByte(line, '(')
		if arguments < 0 || line[0] == '\t' {
			continue
		}
		if name := line[:arguments]; !strings.HasPrefix(name, "runtime.") && !strings.HasPrefix(name, "internal/") {
			return name
		}
	}
	return "the runtime"
}

// prune keeps the newest reports.
func (c *Crashes) prune() error {
	entries, err := os.ReadDir(c.o.Dir) // sorted
	if err != nil {
		return err
	}
	var reports []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), reportPrefix) && strings.HasSuffix(e.Name(), reportSuffix) {
			reports = append(reports, e.Name())
		}
	}
	for _, old := range reports[:max(0, len(reports)-c.o.Keep)] {
		err = errors.Join(err, os.Remove(c.path(old)))
	}
	return err
}

// lastLines reads from the end.
func lastLines(path string, n int) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return "", err
	}
	from := max(0, size-maxTail)
	b, err := io.ReadAll(io.NewSectionReader(f, from, maxTail))
	if err != nil {
		return "", err
	}
	lines := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	if from > 0 && len(lines) > 1 {
		lines = lines[1:] // begins in the middle
	}
	return strings.Join(lines[max(0, len(lines)-n):], "\n"), nil
}

func readStart(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit))
}
