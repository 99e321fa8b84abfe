package log

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"
)

// Options say where lines go, and what each of them has. The zero Options
// write to standard error, from level Info.
type Options struct {
	Service string // attribute "service" of each line; empty: left out, as those below
	Version string // attribute "version"; empty: left out
	Slot    string // attribute "slot", the value of SHIPPER_SLOT; empty: left out

	// Level from which records are written; nil is slog.LevelInfo. Of a
	// *slog.LevelVar it may change at any time.
	Level slog.Leveler
	// Text writes lines for people; false: JSON.
	Text bool

	// File that lines are appended to, with its folder created if need be.
	// Empty: to Output.
	File string
	// Rotation of File; the zero Rotation has the defaults.
	Rotation Rotation
	// Output is where lines go if there is no File; nil is os.Stderr.
	Output io.Writer

	// Buffer holds at most so many bytes that are not written yet;
	// 0 is 8 MiB.
	Buffer int
	// Full says what becomes of a record that the buffer has no room for.
	// The zero Policy is Block.
	Full Policy
	// MaxWait bounds Block; 0 is 100 ms.
	MaxWait time.Duration

	// Events also gets each record that has an Event attribute; nil: nobody.
	// OpenEvents is the system's.
	Events EventSink
}

// Policy says what a full buffer does to the caller.
type Policy int

const (
	// Block waits until there is room, up to MaxWait, and drops the record then.
	Block Policy = iota
	// Drop never waits.
	Drop
)

// Log is an open log. Safe for concurrent use.
type Log struct {
	logger *slog.Logger
	writer *writer
	file   *file // nil: not ours to close
	events EventSink
}

// Open starts writing. Errors are those of the file and its folder, and
// wrong options.
func Open(o Options) (*Log, error) {
	if o.Buffer < 0 || o.MaxWait < 0 || o.Full < Block || o.Full > Drop {
		return nil, errors.New("open log: options are out of range")
	}
	l := &Log{events: o.Events}
	out := o.Output
	if out == nil {
		out = os.Stderr
	}
	if o.File != "" {
		var err error
		if l.file, err = openFile(o.File, o.Rotation, time.Now); err != nil {
			return nil, fmt.Errorf("open log: %w", err)
		}
		out = l.file
	}
	l.start(out, o)
	return l, nil
}

func (l *Log) start(out io.Writer, o Options) {
	level := o.Level
	if level == nil {
		level = slog.LevelInfo
	}
	var attrs []slog.Attr
	for _, a := range []slog.Attr{slog.String("service", o.Service), slog.String("version", o.Version), slog.String("slot", o.Slot)} {
		if a.Value.String() != "" {
			attrs = append(attrs, a)
		}
	}
	l.writer = newWriter(out, o)
	var h slog.Handler
	if o.Text {
		h = newTextHandler(l.writer, level, attrs)
	} else {
		h = newHandler(l.writer, level, attrs)
	}
	l.writer.lost = newHandler(l.writer, level, attrs).lostLine
	if o.Events != nil {
		h = eventHandler{h, o.Events, attrs}
	}
	l.logger = slog.New(h)
	go l.writer.run()
}

// Logger is what writes into the log; give it to slog.SetDefault.
func (l *Log) Logger() *slog.Logger { return l.logger }

// Flush waits until all that was logged before it is handed to the system.
// The error is that of the last write that failed since the last Flush.
func (l *Log) Flush() error { return l.writer.flush() }

// Stats says what became of the records so far.
func (l *Log) Stats() Stats { return l.writer.stats() }

// Stats of a Log.
type Stats struct {
	Lines   uint64 // handed to the system
	Dropped uint64 // the buffer was full, or the log closed
	Failed  uint64 // write errors; their lines are lost
	Waits   uint64 // callers that waited for room
}

// Close writes everything, flushes it to the disk, waits for archives that are
// being compressed, and closes the file. What is logged later is dropped and
// counted. Errors are those of Flush and of closing.
func (l *Log) Close() error {
	err := l.writer.close()
	if l.file != nil {
		err = errors.Join(err, l.file.Close())
	}
	if l.events != nil {
		err = errors.Join(err, l.events.Close())
	}
	return err
}
