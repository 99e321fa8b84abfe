package host

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-shipper/shipper/host/acl"
	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/host/scm"
	"github.com/go-shipper/shipper/host/wrapper"
	"github.com/go-shipper/shipper/release"
)

// defaultStop is how long a program may take to stop if its revision does not say.
const defaultStop = 30 * time.Second

// stopMargin is what the guard waits beyond a program's own stop timeout: the
// wrapper kills the tree in between.
const stopMargin = 10 * time.Second

// recoveryReset is how long an instance must run until a crash counts as the
// first again. With none Windows takes the list's first wait every time.
const recoveryReset = time.Hour

func stopTimeout(r release.Revision) time.Duration {
	if r.StopTimeout <= 0 {
		return defaultStop
	}
	return time.Duration(r.StopTimeout) * time.Millisecond
}

func (s *service) account(r release.Revision, slot release.Slot) string {
	if r.Account != "" {
		return r.Account
	}
	return `NT SERVICE\` + slot.Service(s.name)
}

// equip writes all that an instance finds when it starts, and its service.
// The slot must be stopped.
func (s *service) equip(ctx context.Context, r release.Revision, slot release.Slot, port int) error {
	rendered, spec, wrap, err := s.outfit(r, slot, port)
	if err != nil {
		return err
	}
	if wrap != nil {
		if err := os.MkdirAll(s.slotDir(slot), 0o700); err != nil {
			return fmt.Errorf("make the slot's folder: %w", err)
		}
		if err := writeFile(filepath.Join(s.slotDir(slot), wrapName), wrap); err != nil {
			return err
		}
	}
	if err := s.g.opts.SCM.Ensure(ctx, spec); err != nil {
		return err
	}
	if err := s.grant(r, slot); err != nil {
		return err
	}
	return s.writeFiles(r, rendered.Files, slot)
}

// outfit is what equip brings about: the revision with its templates filled,
// the service, and what the wrapper reads, if there is one.
func (s *service) outfit(r release.Revision, slot release.Slot, port int) (release.Revision, scm.Spec, []byte, error) {
	w := s.words(r, slot, port)
	secrets, err := s.secrets(r)
	if err != nil {
		return r, scm.Spec{}, nil, err
	}
	rendered, err := render(r, w, secrets)
	if err != nil {
		return r, scm.Spec{}, nil, err
	}
	spec, wrap, err := s.spec(rendered, slot, w)
	return rendered, spec, wrap, err
}

// grant gives the slot's account what it needs, and no more.
func (s *service) grant(r release.Revision, slot release.Slot) error {
	return s.share(s.account(r, slot), map[string]acl.Access{
		s.g.store.Path(s.name, r.Release): acl.Read, filepath.Dir(s.g.opts.Executable): acl.Read, s.slotDir(slot): acl.Read,
		s.g.opts.Layout.Logs(s.name, slot): acl.Modify, s.dataDir(r, slot): acl.Modify,
	})
}

// writeFiles replaces the slot's configuration, role and secrets. A file with
// secrets in it is read by the slot's account, beside the system, only.
func (s *service) writeFiles(r release.Revision, rendered []release.RenderedFile, slot release.Slot) error {
	config := filepath.Join(s.slotDir(slot), configName)
	if err := acl.RemoveAll(config); err != nil {
		return fmt.Errorf("clear the slot's configuration: %w", err)
	}
	for i, f := range rendered {
		path := filepath.Join(config, filepath.FromSlash(f.To))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return fmt.Errorf("write configuration file: %w", err)
		}
		write := func() error { return writeFile(path, f.Data) }
		if secretive(r.Files[i]) {
			write = func() error { return acl.WriteProtected(path, f.Data, s.account(r, slot)) }
		}
		if err := write(); err != nil {
			return err
		}
	}
	if err := s.setRole(slot, release.Canary); err != nil {
		return err
	}
	return s.placeSecrets(r, slot)
}

// setRole tells a running instance what it is for.
func (s *service) setRole(slot release.Slot, role release.Role) error {
	return writeFile(filepath.Join(s.slotDir(slot), roleName), []byte(role))
}

// placeSecrets copies the sealed secrets to where only the slot's account,
// beside the system, reads them.
func (s *service) placeSecrets(r release.Revision, slot release.Slot) error {
	path := filepath.Join(s.slotDir(slot), secretsName)
	if len(r.Fingerprints) == 0 {
		return removeFile(path)
	}
	sealed, err := readBounded(filepath.Join(s.revisionDir(r.ID()), secretsName), maxDocument)
	if err != nil {
		return fmt.Errorf("read secrets: %w", err)
	}
	return acl.WriteProtected(path, sealed, s.account(r, slot))
}

// spec describes the slot's service, manual and without recovery: a restart
// would hide a crash of the canary. wrap is for wrap.json.
func (s *service) spec(r release.Revision, slot release.Slot, w words) (spec scm.Spec, wrap []byte, err error) {
	dir := s.g.store.Path(s.name, r.Release)
	exe := filepath.Join(dir, filepath.FromSlash(r.Executable))
	env := s.environment(r, slot, w)
	spec = scm.Spec{
		Name:        slot.Service(s.name),
		DisplayName: strings.TrimSpace(displayName(r) + " (" + string(slot) + ")"),
		Description: r.Description, Account: s.account(r, slot), Start: scm.Manual, DependsOn: r.DependsOn,
		Executable: exe, Args: r.Args, Dir: dir,
		StopTimeout: stopTimeout(r), PreshutdownTimeout: stopTimeout(r) + stopMargin,
	}
	if r.Mode == "native" {
		for name, value := range env {
			spec.Env = append(spec.Env, name+"="+value)
		}
		slices.Sort(spec.Env)
		return spec, nil, nil
	}
	path := filepath.Join(s.slotDir(slot), wrapName)
	spec.Executable = s.g.opts.Executable
	spec.Args = append([]string{"wrap", "--config", path}, s.g.opts.Args...)
	spec.Dir = ""
	spec.StopTimeout += stopMargin
	config := wrapper.Config{
		Name: spec.Name, Executable: exe, Args: r.Args, Env: env, Dir: dir,
		LogDir: w.LogDir, StopSignal: r.StopSignal, StopTimeout: stopTimeout(r).Milliseconds(),
	}
	if r.StopSignal == wrapper.HTTP {
		config.StopURL = "http://" + w.Listen + "/" + strings.TrimPrefix(r.StopURL, "/")
	}
	if len(r.Fingerprints) > 0 {
		config.SecretsFile = filepath.Join(s.slotDir(slot), secretsName)
		config.KeyDir = s.g.opts.Layout.Guard()
	}
	wrap, err = json.MarshalIndent(config, "", "  ")
	return spec, wrap, err
}

func displayName(r release.Revision) string {
	if r.DisplayName != "" {
		return r.DisplayName
	}
	return r.Service
}

// environment is what every instance gets beside its own variables.
func (s *service) environment(r release.Revision, slot release.Slot, w words) map[string]string {
	env := map[string]string{
		"SHIPPER_LISTEN": w.Listen, "PORT": fmt.Sprint(w.Port), "SHIPPER_SLOT": string(slot),
		"SHIPPER_VERSION": w.Version, "SHIPPER_ROLE_FILE": filepath.Join(s.slotDir(slot), roleName),
		"SHIPPER_CONFIG_DIR": w.ConfigDir, "SHIPPER_MODE": r.Mode,
	}
	if len(r.Fingerprints) > 0 && r.Mode == "native" {
		env["SHIPPER_SECRETS"] = filepath.Join(s.slotDir(slot), secretsName)
	}
	for name, value := range r.Env {
		env[name] = value
	}
	return env
}

// retune changes how a slot's service starts and recovers, nothing else.
func (s *service) retune(ctx context.Context, slot release.Slot, start scm.StartType, recovery []time.Duration) error {
	name := slot.Service(s.name)
	status, err := s.g.opts.SCM.Status(ctx, name)
	if err != nil || status.State == scm.Absent {
		return err
	}
	spec, err := s.g.opts.SCM.Spec(ctx, name)
	if err != nil {
		return err
	}
	if spec.Start == start && slices.Equal(spec.Recovery, recovery) {
		return nil
	}
	spec.Start, spec.Recovery, spec.ResetPeriod = start, recovery, recoveryReset
	return s.g.opts.SCM.Ensure(ctx, spec)
}

// halt stops a slot and returns when its process is gone.
func (s *service) halt(ctx context.Context, slot release.Slot) error {
	name := slot.Service(s.name)
	status, err := s.g.opts.SCM.Status(ctx, name)
	if err != nil || status.State == scm.Absent || status.State == scm.Stopped {
		return err
	}
	timeout := defaultStop + stopMargin
	if spec, err := s.g.opts.SCM.Spec(ctx, name); err == nil && spec.StopTimeout > 0 {
		timeout = spec.StopTimeout + stopMargin
	}
	return s.g.opts.SCM.Stop(ctx, name, timeout)
}

// alive reports whether the slot's own process listens on its port.
func (s *service) alive(ctx context.Context, slot release.Slot, port int) (scm.Status, bool, error) {
	status, err := s.g.opts.SCM.Status(ctx, slot.Service(s.name))
	if err != nil || status.State != scm.Running {
		return status, false, err
	}
	owns, err := s.g.opts.SCM.Owns(ctx, slot.Service(s.name), port)
	return status, owns, err
}

func instance(st scm.Status) rpc.InstanceState {
	return rpc.InstanceState{State: string(st.State), PID: st.PID, Started: st.Started, Exit: st.Exit}
}
