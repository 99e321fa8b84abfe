package host

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"github.com/go-shipper/shipper/host/acl"
	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/release"
)

// What is kept of a release that failed, for who looks into it later: its
// revision, how its process ended, and the ends of what it wrote. The slot
// itself is overwritten by the next deploy. Secrets are not kept.

const (
	maxAutopsies = 3  // of a service; their releases stay as well
	autopsyLogs  = 16 // files, the newest
	autopsyTail  = 256 << 10
	autopsyName  = "autopsy.json"
)

// autopsy is autopsy.json.
type autopsy struct {
	Run      string            `json:"run"`
	Time     time.Time         `json:"time"`
	Why      string            `json:"why"`
	Slot     release.Slot      `json:"slot"`
	Release  release.Release   `json:"release"`
	Revision release.Digest    `json:"revision"`
	Instance rpc.InstanceState `json:"instance"`
}

func (s *service) autopsies() string {
	return filepath.Join(s.g.opts.Layout.Service(s.name), "autopsy")
}

// deservesOne: who ends a run on purpose knows why.
func (e ending) deservesOne() bool { return e.state != runAborted }

// dissect keeps what is left of a slot's run. It never gets in the way of what
// it is called by: a host that cannot write goes back all the same.
func (s *service) dissect(ctx context.Context, run string, slot release.Slot, why string) {
	if err := s.keepAutopsy(ctx, run, slot, why); err != nil {
		s.log.Warn("not all of the failed release is kept for a look", "run", run, "error", err)
	}
}

func (s *service) keepAutopsy(ctx context.Context, run string, slot release.Slot, why string) error {
	a := autopsy{Run: run, Time: s.g.now().UTC(), Why: why, Slot: slot}
	s.tell(func() { a.Release, a.Revision = s.st.Slots[slot].Release, s.st.Slots[slot].Revision })
	if status, err := s.g.opts.SCM.Status(ctx, slot.Service(s.name)); err == nil {
		a.Instance = instance(status)
	}
	dir := filepath.Join(s.autopsies(), run)
	if err := os.MkdirAll(filepath.Join(dir, "logs"), 0o700); err != nil {
		return err
	}
	b, err := json.MarshalIndent(a, "", "  ")
	if err == nil {
		err = writeFile(filepath.Join(dir, autopsyName), b)
	}
	if rev, missing := readBounded(filepath.Join(s.revisionDir(a.Revision), revisionName), rpc.MaxMessage); missing == nil {
		err = errors.Join(err, writeFile(filepath.Join(dir, revisionName), rev))
	}
	logs := s.g.opts.Layout.Logs(s.name, slot)
	for _, name := range newestFiles(logs, autopsyLogs) {
		tail, unread := readTail(filepath.Join(logs, name), autopsyTail)
		if unread == nil {
			unread = os.WriteFile(filepath.Join(dir, "logs", strings.ReplaceAll(name, string(filepath.Separator), "_")), tail, 0o600)
		}
		err = errors.Join(err, unread)
	}
	return errors.Join(err, s.pruneAutopsies())
}

// newestFiles are plain files in dir and in its folders, the newest first.
func newestFiles(dir string, most int) []string {
	at := map[string]time.Time{}
	var found []string
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error { // what can be read counts
		if err != nil || !d.Type().IsRegular() {
			return nil
		}
		info, gone := os.Lstat(path)
		name, outside := filepath.Rel(dir, path)
		if gone == nil && outside == nil && info.Mode().IsRegular() && info.Size() > 0 && strings.Count(name, string(filepath.Separator)) < 2 {
			found, at[name] = append(found, name), info.ModTime()
		}
		return nil
	})
	sort.Slice(found, func(i, j int) bool {
		a, b := at[found[i]], at[found[j]]
		return a.After(b) || a.Equal(b) && found[i] < found[j]
	})
	return found[:min(len(found), most)]
}

func readTail(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.NewSectionReader(f, max(0, info.Size()-most), most))
}

// kept are the autopsies of a service, the newest first.
func (s *service) keptAutopsies() []autopsy {
	entries, _ := os.ReadDir(s.autopsies()) // none yet
	var out []autopsy
	for _, e := range entries {
		var a autopsy
		b, err := readBounded(filepath.Join(s.autopsies(), e.Name(), autopsyName), maxDocument)
		if err != nil || json.Unmarshal(b, &a) != nil {
			a = autopsy{Why: "only a part of it could be kept"} // and goes first
		}
		a.Run = e.Name()
		out = append(out, a)
	}
	sort.Slice(out, func(i, j int) bool {
		return out[i].Time.After(out[j].Time) || out[i].Time.Equal(out[j].Time) && out[i].Run > out[j].Run
	})
	return out
}

func (s *service) pruneAutopsies() error {
	all := s.keptAutopsies()
	for _, a := range all[min(len(all), maxAutopsies):] {
		if err := acl.RemoveAll(filepath.Join(s.autopsies(), a.Run)); err != nil {
			return fmt.Errorf("drop the oldest autopsy: %w", err)
		}
	}
	return nil
}

// readAutopsy is the last that a failed release said; an empty run is the
// latest of which something is kept.
func (s *service) readAutopsy(p rpc.Logs) (rpc.LogsReply, error) {
	all := s.keptAutopsies()
	var runs []string
	i := -1
	for j, a := range all {
		if runs = append(runs, a.Run); i < 0 && (p.Run == "" || a.Run == p.Run) {
			i = j
		}
	}
	if i < 0 {
		return rpc.LogsReply{}, rpc.Errorf(rpc.CodeNotFound, "kept are: "+cmp.Or(strings.Join(runs, ", "), "none"),
			"nothing is kept of a failed release %s", strings.TrimSpace("of "+s.name+" in run "+p.Run))
	}
	a := all[i]
	text := fmt.Sprintf("%s in slot %s, run %s, %s: %s\ninstance: %s, exit code %d; all of it: %s\n", a.Release, a.Slot, a.Run,
		a.Time.Format(time.RFC3339), a.Why, a.Instance.State, a.Instance.Exit, filepath.Join(s.autopsies(), a.Run))
	logs := filepath.Join(s.autopsies(), a.Run, "logs")
	for _, name := range newestFiles(logs, autopsyLogs) {
		tail, err := readTail(filepath.Join(logs, name), autopsyTail)
		if err != nil {
			return rpc.LogsReply{}, fmt.Errorf("read autopsy: %w", err)
		}
		text += "\n--- " + name + "\n" + string(lastOf(tail, cmp.Or(p.Lines, defaultLines)))
		if len(text) > maxLogPiece {
			text = text[:maxLogPiece] + "\n…\n"
			break
		}
	}
	return rpc.LogsReply{Slot: a.Slot, Text: strings.ToValidUTF8(text, "\uFFFD")}, nil
}
