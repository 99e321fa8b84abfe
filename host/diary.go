package host

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/release"
)

// maxRuns bounds the journals that a host keeps of a service; the oldest go
// first.
const maxRuns = 200

// diary keeps the journals of a service's runs: runs/RUN.jsonl.
type diary struct {
	dir string

	mu   sync.Mutex
	run  string        // the one told last: runs come one after the other
	file *journal.File // nil: none yet
	who  Caller        // who told last, and of which run
	of   string
}

func newDiary(dir string) *diary { return &diary{dir: dir} }

func checkRun(run string) error {
	if release.CheckPath(run) != nil || strings.Contains(run, "/") || len(run) > 100 || strings.HasPrefix(run, ".") {
		return rpc.Errorf(rpc.CodeFailed, "", "run %q: want a short plain name", run)
	}
	return nil
}

func (d *diary) path(run string) string { return filepath.Join(d.dir, run+".jsonl") }

// append adds the records that the run's journal does not have, flushed.
func (d *diary) append(run string, records []journal.Record) error {
	return d.to(run, func(f *journal.File) error { return f.Add(records...) })
}

// acts books who tells of a run, and says whether that is news.
func (d *diary) acts(run string, who Caller) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	news := d.of != run || d.who != who
	d.of, d.who = run, who
	return news
}

// to lets add write to the journal of a run.
func (d *diary) to(run string, add func(*journal.File) error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	f, err := d.open(run)
	if err == nil {
		err = add(f)
	}
	if err != nil {
		return fmt.Errorf("run %s: %w", run, err)
	}
	return nil
}

func (d *diary) open(run string) (*journal.File, error) {
	if _, err := os.Stat(d.path(run)); errors.Is(err, fs.ErrNotExist) {
		if err := d.makeRoom(); err != nil {
			return nil, err
		}
	}
	if d.file != nil && d.run == run {
		return d.file, nil
	}
	f, err := journal.Open(d.path(run))
	if err != nil {
		return nil, err
	}
	d.run, d.file = run, f
	return f, nil
}

// read returns a run's records.
func (d *diary) read(run string) ([]journal.Record, error) {
	f, err := os.Open(d.path(run))
	if err != nil {
		return nil, fmt.Errorf("read the journal of run %s: %w", run, err)
	}
	defer f.Close()
	records, err := journal.Replay(io.LimitReader(f, journal.MaxFile))
	if err != nil {
		return nil, fmt.Errorf("read the journal of run %s: %w", run, err)
	}
	return records, nil
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
	sort.Slice(out, func(i, j int) bool {
		a, b := out[i], out[j]
		return cmp.Or(a.first.Time.Compare(b.first.Time), strings.Compare(a.id, b.id)) < 0
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

// makeRoom drops the oldest journals, so that one more run fits.
func (d *diary) makeRoom() error {
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(d.dir)
	if err != nil || len(entries) < maxRuns {
		return err
	}
	age := func(e os.DirEntry) time.Time {
		info, err := e.Info()
		if err != nil {
			return time.Time{}
		}
		return info.ModTime()
	}
	sort.Slice(entries, func(i, j int) bool { return age(entries[i]).Before(age(entries[j])) })
	for _, e := range entries[:len(entries)-maxRuns+1] {
		if err := os.Remove(filepath.Join(d.dir, e.Name())); err != nil {
			return fmt.Errorf("drop the oldest journal: %w", err)
		}
	}
	return nil
}

// record adds what the guard itself did to a run's journal. A journal that
// cannot be written must not keep a host from going back to stable.
func (s *service) record(run, kind string, data any) {
	raw, _ := json.Marshal(data) // our own plain structs
	s.announce(journal.Record{Run: run, Type: kind, Data: raw})
	err := s.diary.to(run, func(f *journal.File) error { return f.Tell(run, kind, s.g.hostname, s.g.now(), data) })
	if err != nil {
		s.log.Warn("journal", "error", err)
	}
}
