package pipeline

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/release"
)

const (
	// planVersion is of the file: another one may mean something else by it.
	planVersion = 1
	// maxPlan bounds a plan that is read, in bytes: some thousand hosts.
	maxPlan = 8 << 20

	planAgain = "look what changed, and plan again with `shipper plan --out FILE`"
)

// PlanFile is what a deploy would do, as `plan --out` saw it. It holds no
// bytes of the release, no secrets and no values of the configuration, only
// digests: it allows what it describes, and can bring about nothing else.
type PlanFile struct {
	Version        int               `json:"version"`
	Service        string            `json:"service"`
	Environment    string            `json:"environment"`
	Made           time.Time         `json:"made"`
	By             string            `json:"by"`
	Shipper        string            `json:"shipper"`
	Release        release.Release   `json:"release"`
	Bundle         string            `json:"bundle,omitempty"` // where it lay
	Strategy       string            `json:"strategy"`
	Steps          []string          `json:"steps,omitempty"` // for people; the engine takes the configuration's
	Batches        [][]string        `json:"batches"`
	AllowDowngrade bool              `json:"allowDowngrade,omitempty"`
	Hotfix         bool              `json:"hotfix,omitempty"`
	Irreversible   bool              `json:"irreversible,omitempty"`
	Settings       map[string]string `json:"settings"` // digests
	Hosts          []PlannedHost     `json:"hosts"`
}

// PlannedHost is one host as it was, and what it would get.
type PlannedHost struct {
	Name     string          `json:"name"`
	Address  string          `json:"address"`
	Arch     string          `json:"arch"`
	Machine  string          `json:"machine,omitempty"` // identity; empty where shipper had never been
	Revision release.Digest  `json:"revision"`
	Stable   release.Release `json:"stable"`
	Was      release.Digest  `json:"was,omitempty"` // revision of Stable
	State    release.Digest  `json:"state"`         // of all that is committed there
	Run      string          `json:"run,omitempty"` // the latest
}

// Write replaces the file at path, readable by its owner only.
func (f PlanFile) Write(path string) error {
	raw, err := json.MarshalIndent(f, "", " ")
	if err != nil {
		return fmt.Errorf("write plan: %w", err)
	}
	temp, err := os.CreateTemp(filepath.Dir(path), ".plan-*") // mode 0600
	if err != nil {
		return problem.Wrap(problem.Usage, err, "write plan", "name a file in a folder that is there")
	}
	_, err = temp.Write(append(raw, '\n'))
	if err = errors.Join(err, temp.Close()); err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		return problem.Wrap(problem.Usage, errors.Join(err, os.Remove(temp.Name())), "write plan", "name a file that can be written")
	}
	return nil
}

// ReadPlan reads a plan. What it does not understand in full it refuses: it
// could not apply it exactly.
func ReadPlan(path string) (PlanFile, error) {
	var out PlanFile
	refuse := func(err error) (PlanFile, error) {
		return PlanFile{}, problem.Wrap(problem.Usage, err, "read plan "+path, "make one with `shipper plan --out FILE`")
	}
	file, err := os.Open(path)
	if err != nil {
		return refuse(err)
	}
	defer file.Close()
	raw, err := io.ReadAll(io.LimitReader(file, maxPlan+1))
	switch {
	case err != nil:
		return refuse(err)
	case len(raw) > maxPlan:
		return refuse(fmt.Errorf("it has more than %d bytes", maxPlan))
	}
	var head struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(raw, &head); err != nil {
		return refuse(fmt.Errorf("it is no plan: %w", err))
	}
	if head.Version != planVersion {
		return PlanFile{}, problem.New(problem.Usage, "plan again with this shipper, or apply it with the one that made it",
			"read plan %s: version %d of plans is not known here, only %d", path, head.Version, planVersion)
	}
	strict := json.NewDecoder(bytes.NewReader(raw))
	strict.DisallowUnknownFields()
	if err := strict.Decode(&out); err != nil {
		return refuse(fmt.Errorf("it is no plan: %w", err))
	}
	return out, nil
}

// settingsDiffer lists where the configuration is not what was planned.
func (f PlanFile) settingsDiffer(now PlanFile) []string {
	var out []string
	say := func(different bool, format string, args ...any) {
		if different {
			out = append(out, fmt.Sprintf(format, args...))
		}
	}
	say(f.Service != now.Service, "it is for service %q, not for %q", f.Service, now.Service)
	say(f.Environment != now.Environment, "it is for environment %q, not for %q", f.Environment, now.Environment)
	all := maps.Clone(f.Settings)
	maps.Copy(all, now.Settings)
	for _, at := range slices.Sorted(maps.Keys(all)) {
		say(f.Settings[at] != now.Settings[at], "%s is not as it was", at)
	}
	if len(out) == 0 {
		say(!slices.EqualFunc(f.Batches, now.Batches, slices.Equal), "the batches are %v, not %v", now.Batches, f.Batches)
	}
	return out
}

// hostsDiffer lists what is not as it was on the hosts. Under the run's own
// lock the latest run is that one: asked is "" before.
func (f PlanFile) hostsDiffer(now []PlannedHost, own string) []string {
	var out []string
	planned := map[string]PlannedHost{}
	for _, h := range f.Hosts {
		planned[h.Name] = h
	}
	for _, h := range now {
		was, ok := planned[h.Name]
		delete(planned, h.Name)
		if why := was.differs(h, own); !ok {
			out = append(out, h.Name+" is not in it")
		} else if why != "" {
			out = append(out, h.Name+" "+why)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(planned)) {
		out = append(out, name+" is no host any more")
	}
	return out
}

// differs is the first difference: the others follow from it.
func (h PlannedHost) differs(now PlannedHost, own string) string {
	switch {
	case h.Address != now.Address || h.Arch != now.Arch:
		return fmt.Sprintf("is %s (%s), not %s (%s)", now.Address, now.Arch, h.Address, h.Arch)
	case h.Machine != "" && h.Machine != now.Machine:
		return "is another machine"
	case h.Revision != now.Revision:
		return fmt.Sprintf("would get revision %s, not %s: arguments, environment, files, account or a secret changed", now.Revision.Short(), h.Revision.Short())
	case h.Stable != now.Stable || h.Was != now.Was:
		return fmt.Sprintf("runs %s, not %s", named(now.Stable, now.Was), named(h.Stable, h.Was))
	case h.Run != now.Run && now.Run != own:
		return fmt.Sprintf("has seen run %s meanwhile", now.Run)
	case h.State != now.State:
		return "would go back to another release, or serves another address"
	}
	return ""
}

func named(r release.Release, revision release.Digest) string {
	if r.IsZero() {
		return "nothing"
	}
	return r.Version + ", revision " + revision.Short()
}
