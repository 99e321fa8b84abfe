package host

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/release"
)

// Bounds of the journals that a host keeps.
const (
	maxRecord = 64 << 10 // bytes of one record
	maxDiary  = 8 << 20  // bytes of one run; what comes later is refused
	maxRuns   = 200      // the oldest go first
)

// diary keeps the journals of a service's runs: runs/RUN.jsonl.
type diary struct {
	dir string

	mu   sync.Mutex
	seen map[string]map[mark]bool // by run: what is on the disk
}

// mark tells records apart. The sequence alone would not: the guard writes
// too, when the controller is gone, and does not know how far that one got.
type mark struct {
	seq  int64
	kind string
	time int64
}

func newDiary(dir string) *diary { return &diary{dir: dir, seen: map[string]map[mark]bool{}} }

func markOf(r journal.Record) mark { return mark{r.Seq, r.Type, r.Time.UnixNano()} }

func checkRun(run string) error {
	if release.CheckPath(run) != nil || strings.Contains(run, "/") || len(run) > 100 || strings.HasPrefix(run, ".") {
		return rpc.Errorf(rpc.CodeFailed, "", "run %q: want a short plain name", run)
	}
	return nil
}

func (d *diary) path(run string) string { return filepath.Join(d.dir, run+".jsonl") }

// append adds the records that the run's journal does not have, flushed.
func (d *diary) append(run string, records []journal.Record) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	seen, size, err := d.open(run)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	var fresh []mark
	for _, r := range records {
		if seen[markOf(r)] || slices.Contains(fresh, markOf(r)) {
			continue
		}
		line, err := json.Marshal(r)
		if err != nil {
			return rpc.Errorf(rpc.CodeFailed, "", "record %d: %v", r.Seq, err)
		}
		if len(line) > maxRecord {
			return rpc.Errorf(rpc.CodeFailed, "", "record %d has %d bytes, at most %d are kept", r.Seq, len(line), maxRecord)
		}
		out.Write(append(line, '\n'))
		fresh = append(fresh, markOf(r))
	}
	if size+int64(out.Len()) > maxDiary {
		return rpc.Errorf(rpc.CodeFailed, "", "the journal of run %s is full: %d bytes", run, size)
	}
	if out.Len() == 0 {
		return nil
	}
	if err := d.write(run, out.Bytes()); err != nil {
		return fmt.Errorf("append to the journal of run %s: %w", run, err)
	}
	for _, m := range fresh {
		seen[m] = true
	}
	return nil
}

// next is the sequence number after the last one of a run.
func (d *diary) next(run string) int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	seen, _, err := d.open(run)
	var last int64
	if err == nil {
		for m := range seen {
			last = max(last, m.seq)
		}
	}
	return last + 1
}

// open knows what a run's journal holds; the first time it reads it.
func (d *diary) open(run string) (map[mark]bool, int64, error) {
	info, err := os.Stat(d.path(run))
	if errors.Is(err, fs.ErrNotExist) {
		d.seen[run] = map[mark]bool{}
		return d.seen[run], 0, d.dropOldest()
	}
	if err != nil {
		return nil, 0, fmt.Errorf("read the journal of run %s: %w", run, err)
	}
	if seen, ok := d.seen[run]; ok {
		return seen, info.Size(), nil
	}
	records, err := d.read(run)
	if err != nil {
		return nil, 0, err
	}
	seen := map[mark]bool{}
	for _, r := range records {
		seen[markOf(r)] = true
	}
	d.seen[run] = seen
	return seen, info.Size(), nil
}

// write begins on a line of its own, whatever a power cut left of the last one.
func (d *diary) write(run string, b []byte) error {
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(d.path(run), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	end, err := f.Seek(0, io.SeekEnd)
	if err == nil && end > 0 {
		last := make([]byte, 1)
		if _, err = f.ReadAt(last, end-1); err == nil && last[0] != '\n' {
			b = append([]byte{'\n'}, b...)
		}
	}
	if err == nil {
		_, err = f.Write(b)
	}
	return errors.Join(err, f.Sync(), f.Close())
}

// read returns a run's records; lines that cannot be read are left out.
func (d *diary) read(run string) ([]journal.Record, error) {
	f, err := os.Open(d.path(run))
	if err != nil {
		return nil, fmt.Errorf("read the journal of run %s: %w", run, err)
	}
	defer f.Close()
	var out []journal.Record
	lines := bufio.NewScanner(io.LimitReader(f, maxDiary+maxRecord))
	lines.Buffer(nil, 2*maxRecord)
	for lines.Scan() {
		var r journal.Record
		if json.Unmarshal(lines.Bytes(), &r) == nil && r.Type != "" {
			out = append(out, r)
		}
	}
	return out, nil
}

// Read answers the protocol's question: one run, the latest, or the first
// and last record of each.
func (d *diary) Read(run string) ([]journal.Record, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if run != "" && run != "*" {
		if err := checkRun(run); err != nil {
			return nil, err
		}
		records, err := d.read(run)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, rpc.Errorf(rpc.CodeNotFound, "", "run %s is not known on this host", run)
		}
		return records, err
	}
	runs, err := d.all()
	if err != nil {
		return nil, err
	}
	if run == "" {
		if len(runs) == 0 {
			return []journal.Record{}, nil
		}
		return d.read(runs[len(runs)-1].id)
	}
	out := []journal.Record{}
	for _, r := range runs {
		out = append(out, r.first)
		if r.last.Seq != r.first.Seq || r.last.Type != r.first.Type {
			out = append(out, r.last)
		}
	}
	return out, nil
}

// story is a run by its ends.
type story struct {
	id          string
	first, last journal.Record
}

// all lists the runs, oldest first.
func (d *diary) all() ([]story, error) {
	paths, err := filepath.Glob(filepath.Join(d.dir, "*.jsonl"))
	if err != nil {
		return nil, fmt.Errorf("list runs: %w", err)
	}
	var out []story
	for _, p := range paths {
		id := strings.TrimSuffix(filepath.Base(p), ".jsonl")
		records, err := d.read(id)
		if err != nil {
			return nil, err
		}
		if n := len(records); n > 0 {
			out = append(out, story{id, opening(records), records[n-1]})
		}
	}
	slices.SortStableFunc(out, func(a, b story) int {
		return cmp.Or(a.first.Time.Compare(b.first.Time), strings.Compare(a.id, b.id))
	})
	return out, nil
}

// opening is the record that opens a run; what was told before the session
// began (the build, the hosts) comes ahead of it.
func opening(records []journal.Record) journal.Record {
	for _, r := range records {
		if r.Type == journal.TypeRunStarted {
			return r
		}
	}
	return records[0]
}

// dropOldest makes room for one more run.
func (d *diary) dropOldest() error {
	entries, err := os.ReadDir(d.dir)
	if err != nil || len(entries) < maxRuns {
		return nil
	}
	age := func(e os.DirEntry) time.Time {
		info, err := e.Info()
		if err != nil {
			return time.Time{}
		}
		return info.ModTime()
	}
	slices.SortFunc(entries, func(a, b os.DirEntry) int { return age(a).Compare(age(b)) })
	for _, e := range entries[:len(entries)-maxRuns+1] {
		delete(d.seen, strings.TrimSuffix(e.Name(), ".jsonl"))
		if err := os.Remove(filepath.Join(d.dir, e.Name())); err != nil {
			return fmt.Errorf("drop the oldest journal: %w", err)
		}
	}
	return nil
}

// record adds what the guard itself did to a run's journal. A journal that
// cannot be written must not keep a host from going back to stable.
func (s *service) record(run, kind string, data any) {
	b, err := json.Marshal(data)
	if err == nil {
		err = s.diary.append(run, []journal.Record{{
			V: journal.Version, Seq: s.diary.next(run), Time: s.g.now(), Run: run, Type: kind, Host: s.g.hostname, Data: b,
		}})
	}
	if err != nil {
		s.log.Warn("journal", "run", run, "error", err)
	}
}
