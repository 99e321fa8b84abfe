package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-shipper/shipper/host/router"
	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/host/scm"
	"github.com/go-shipper/shipper/release"
)

// inspect compares the record with what is really so, and verifies what the
// host would go back to. It changes nothing.
func (s *service) inspect(ctx context.Context, p rpc.Inspect) (rpc.Inspected, error) {
	var out rpc.Inspected
	before, busy, err := s.resting(ctx)
	if err != nil || busy {
		out.Busy = busy
		return out, err
	}
	d := &differences{}
	if slot := before.Stable; slot != "" && s.present(ctx, slot, d.in(slot)) {
		rec := before.Slots[slot]
		if err := s.g.store.Verify(ctx, s.name, rec.Release); err != nil {
			d.in(slot)("release", "as it was installed", err.Error())
		}
		s.outfitDrift(ctx, rec, slot, true, d.in(slot))
	}
	// What else is changed in the slot beside is put right before it is used.
	if idle := before.Stable.Other(); before.Stable != "" && s.g.now().Before(before.Warm) && !before.Run.live() {
		s.present(ctx, idle, d.in(idle))
	}
	s.trafficDrift(ctx, before, d.in(""))
	if p.Previous {
		out.Previous = s.verified(ctx, before)
	}
	after, busy, err := s.resting(ctx)
	if out.Busy = busy || after.Fence != before.Fence || after.Stable != before.Stable; !out.Busy {
		out.Drift = d.all
	}
	return out, err
}

// resting is the record, and whether something is being changed right now.
func (s *service) resting(ctx context.Context) (st state, busy bool, err error) {
	err = s.do(ctx, func() error {
		st = s.st.clone()
		busy = s.task != nil || s.st.Mend || s.undoing || s.st.Run.alone()
		return s.broken
	})
	return st, busy, err
}

// verified is the revision that a rollback takes, if it is all there.
func (s *service) verified(ctx context.Context, st state) *rpc.Previous {
	target, ok := st.previous()
	if !ok {
		return nil
	}
	out := &rpc.Previous{Retained: target}
	rev, err := s.kept(target.Revision)
	if err == nil {
		err = s.g.store.Verify(ctx, s.name, rev.Release)
	}
	if err == nil {
		_, err = s.secrets(rev)
	}
	if err != nil {
		out.Problem = err.Error()
	}
	return out
}

// differences collects what is not as it was recorded.
type differences struct{ all []rpc.Drift }

func (d *differences) in(slot release.Slot) func(what, want, have string) {
	return func(what, want, have string) {
		d.all = append(d.all, rpc.Drift{Slot: slot, What: what, Want: want, Have: have})
	}
}

// present reports whether a slot that should run has a service, and tells of
// one that does not run.
func (s *service) present(ctx context.Context, slot release.Slot, differs func(what, want, have string)) bool {
	name := slot.Service(s.name)
	status, err := s.g.opts.SCM.Status(ctx, name)
	switch {
	case err != nil:
		differs("service", "known", err.Error())
	case status.State == scm.Absent:
		differs("service "+name, "there", "deleted")
	case status.State != scm.Running && status.State != scm.StartPending:
		differs("state", string(scm.Running), fmt.Sprintf("%s, exit code %d", status.State, status.Exit))
	}
	return err == nil && status.State != scm.Absent
}

// untouched reports whether a slot is still as equip left it.
func (s *service) untouched(ctx context.Context, rec slotRecord, slot release.Slot) bool {
	d := &differences{}
	s.outfitDrift(ctx, rec, slot, false, d.in(slot))
	return len(d.all) == 0
}

// outfitDrift compares what equip has written, and what a commit changes of it.
func (s *service) outfitDrift(ctx context.Context, rec slotRecord, slot release.Slot, stable bool, differs func(what, want, have string)) {
	rev, err := s.kept(rec.Revision)
	if err != nil {
		differs("revision", rec.Revision.Short(), err.Error())
		return
	}
	rendered, want, wrap, err := s.outfit(rev, slot, rec.Port)
	if err != nil {
		differs("revision", rec.Revision.Short(), err.Error())
		return
	}
	role := release.Canary
	if stable {
		role, want.Start = release.Stable, scm.Auto
		for _, ms := range rev.Recovery {
			want.Recovery = append(want.Recovery, time.Duration(ms)*time.Millisecond)
		}
	}
	have, err := s.g.opts.SCM.Spec(ctx, want.Name)
	if err != nil {
		differs("service", "known", err.Error())
		return
	}
	s.serviceDrift(want, have, rev, differs)
	s.fileDrift(rev, rendered.Files, slot, role, differs)
	if wrap != nil && have.Executable == want.Executable { // an older guard may have written it otherwise
		fileDiffers(filepath.Join(s.slotDir(slot), wrapName), wrap, differs)
	}
}

// serviceDrift compares what the service manager starts with what it should.
func (s *service) serviceDrift(want, have scm.Spec, rev release.Revision, differs func(what, want, have string)) {
	if image := commandLine(want); !strings.EqualFold(image, commandLine(have)) && !s.earlier(want, have, rev) {
		differs("image path", image, commandLine(have))
	}
	for _, f := range []struct{ what, want, have string }{
		{"start type", string(want.Start), string(have.Start)},
		{"account", accountName(want.Account), accountName(have.Account)},
		{"display name", want.DisplayName, have.DisplayName},
		{"description", want.Description, have.Description},
		{"dependencies", strings.Join(want.DependsOn, ", "), strings.Join(have.DependsOn, ", ")},
	} {
		if !strings.EqualFold(f.want, f.have) {
			differs(f.what, f.want, f.have)
		}
	}
	if !have.KeepsNoRecovery && !slices.Equal(want.Recovery, have.Recovery) {
		differs("recovery", fmt.Sprint(want.Recovery), fmt.Sprint(have.Recovery))
	}
	if names := environmentDiffers(want.Env, have.Env, rev); len(names) > 0 {
		differs("environment", "as it was deployed", "differs in "+strings.Join(names, ", "))
	}
}

// earlier tells a slot that an earlier guard has equipped: its wrapper is
// another build of this program, in a folder beside.
func (s *service) earlier(want, have scm.Spec, rev release.Revision) bool {
	root := func(path string) string { return filepath.Dir(filepath.Dir(path)) }
	return rev.Mode != "native" && strings.EqualFold(root(have.Executable), root(want.Executable)) &&
		strings.EqualFold(filepath.Base(have.Executable), filepath.Base(want.Executable)) && slices.Equal(have.Args, want.Args)
}

func commandLine(s scm.Spec) string {
	return strings.Join(append([]string{s.Executable}, s.Args...), " ")
}

func accountName(name string) string {
	name = strings.ToLower(name)
	if name == "" || name == `.\localsystem` {
		return "localsystem"
	}
	return strings.TrimPrefix(strings.ReplaceAll(name, " ", ""), `ntauthority\`)
}

// environmentDiffers names variables and no values. One of shipper's own that
// is missing was not known to the guard that equipped the slot.
func environmentDiffers(want, have []string, rev release.Revision) []string {
	var out []string
	known := map[string]string{}
	for _, v := range want {
		name, value, _ := strings.Cut(v, "=")
		known[name] = value
	}
	for _, v := range have {
		name, value, _ := strings.Cut(v, "=")
		if is, ok := known[name]; !ok || is != value {
			out = append(out, name)
		}
		delete(known, name)
	}
	for name := range known {
		if _, own := rev.Env[name]; own || !strings.HasPrefix(name, "SHIPPER_") {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// fileDrift compares what the instance reads with what was written.
func (s *service) fileDrift(rev release.Revision, files []release.RenderedFile, slot release.Slot, role release.Role, differs func(what, want, have string)) {
	for _, f := range files {
		fileDiffers(filepath.Join(s.slotDir(slot), configName, filepath.FromSlash(f.To)), f.Data, differs)
	}
	fileDiffers(filepath.Join(s.slotDir(slot), roleName), []byte(role), differs)
	if len(rev.Fingerprints) == 0 {
		return
	}
	want, err := s.unseal(s.revisionDir(rev.ID()))
	have, second := s.unseal(s.slotDir(slot))
	switch err = errors.Join(err, second); {
	case err != nil:
		differs("secrets", "to be read", err.Error())
	case !maps.Equal(want, have):
		differs("secrets", "as they were deployed", "replaced")
	}
}

// unseal opens the secrets in a folder: sealed twice they are not the same bytes.
func (s *service) unseal(dir string) (map[string]string, error) {
	sealed, err := readBounded(filepath.Join(dir, secretsName), maxDocument)
	if err != nil {
		return nil, err
	}
	return s.box().OpenMap(sealed)
}

// fileDiffers tells that a file was changed, and nothing of what is in it.
func fileDiffers(path string, want []byte, differs func(what, want, have string)) {
	have, err := readBounded(path, int64(max(len(want), maxDocument)))
	switch {
	case err != nil:
		differs("file "+filepath.Base(path), "as it was written", err.Error())
	case !bytes.Equal(have, want):
		differs("file "+filepath.Base(path), "as it was written", "edited ("+path+")")
	}
}

// trafficDrift compares the route, and looks for the firewall's rule.
func (s *service) trafficDrift(ctx context.Context, st state, differs func(what, want, have string)) {
	var want router.Route
	var managed bool
	if s.do(ctx, func() error { want, managed = s.route(); return nil }) != nil || !managed || st.Stable == "" {
		return
	}
	asked, cancel := s.g.within(ctx, routerPatience)
	defer cancel()
	have, err := s.g.opts.Router.Get(asked, s.name)
	switch {
	case errors.Is(err, router.ErrNotFound):
		differs("route", routeText(want), "missing")
	case err == nil && (have.Listen != want.Listen || have.Stable != want.Stable || have.Slots[want.Stable] != want.Slots[want.Stable]):
		differs("route", routeText(want), routeText(have.Route))
	}
	if openPorts(st.Traffic) == "" || !st.Firewall {
		return
	}
	if err := s.netsh(ctx, "show", "rule", "name="+ruleName(s.name)); err != nil && !errors.Is(err, exec.ErrNotFound) {
		differs("firewall", "a rule "+ruleName(s.name), "missing")
	}
}

func routeText(r router.Route) string {
	return fmt.Sprintf("%s to %s at %s", r.Listen, r.Stable, r.Slots[r.Stable])
}
