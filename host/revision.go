package host

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/go-shipper/shipper/host/acl"
	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/host/secret"
	"github.com/go-shipper/shipper/release"
)

// Names inside a revision's and a slot's folder.
const (
	revisionName = "revision.json"
	secretsName  = "secrets.sealed"
	roleName     = "role"
	wrapName     = "wrap.json"
	configName   = "config"
)

func (s *service) revisionDir(id release.Digest) string {
	return filepath.Join(s.g.opts.Layout.Service(s.name), "revisions", id.Short())
}

func (s *service) slotDir(slot release.Slot) string {
	return filepath.Join(s.g.opts.Layout.Service(s.name), "slots", string(slot))
}

// dataDir is where the instances keep what outlives them, in common or each slot for itself.
func (s *service) dataDir(r release.Revision, slot release.Slot) string {
	dir := filepath.Join(s.g.opts.Layout.Service(s.name), "data")
	if r.DataPerSlot {
		return filepath.Join(dir, string(slot))
	}
	return dir
}

func (s *service) box() secret.Box { return secret.NewBox(s.g.opts.Layout.Guard()) }

// checkRevision refuses what could leave the release's or the slot's folder.
func (s *service) checkRevision(r release.Revision) error {
	var files []release.File
	for _, f := range r.Files {
		files = append(files, release.File{Path: f.To})
	}
	err := errors.Join(release.CheckPath(r.Executable), release.CheckPaths(files))
	switch {
	case err != nil:
		return rpc.Errorf(rpc.CodeFailed, "", "revision: %v", err)
	case r.Service != s.name:
		return rpc.Errorf(rpc.CodeFailed, "", "revision of service %q, not %q", r.Service, s.name)
	case r.Mode != "native" && r.Mode != "console":
		return rpc.Errorf(rpc.CodeFailed, "", "revision: mode %q: want native or console", r.Mode)
	}
	return nil
}

// keep stores a revision, so that a rollback needs nothing but the host. The
// secrets of one that was kept before are used again if none are given.
func (s *service) keep(r release.Revision, secrets map[string]string) error {
	dir := s.revisionDir(r.ID())
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("keep revision: %w", err)
	}
	b, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("keep revision: %w", err)
	}
	path := filepath.Join(dir, secretsName)
	if len(secrets) > 0 {
		sealed, err := s.box().SealMap(secrets)
		if err != nil {
			return fmt.Errorf("seal secrets: %w", err)
		}
		if err := acl.WriteProtected(path, sealed, ""); err != nil {
			return err
		}
	} else if _, err := os.Lstat(path); err != nil && len(r.Fingerprints) > 0 {
		return rpc.Errorf(rpc.CodeFailed, "", "revision %s needs secrets and none came with it", r.ID().Short())
	}
	return writeFile(filepath.Join(dir, revisionName), b)
}

// kept reads a revision back.
func (s *service) kept(id release.Digest) (release.Revision, error) {
	var r release.Revision
	b, err := readBounded(filepath.Join(s.revisionDir(id), revisionName), rpc.MaxMessage)
	if errors.Is(err, fs.ErrNotExist) {
		return r, rpc.Errorf(rpc.CodeNotFound, "see shipper status for what is kept", "revision %s is not kept on this host", id.Short())
	}
	if err != nil {
		return r, fmt.Errorf("read revision: %w", err)
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return r, fmt.Errorf("read revision %s: %w", id.Short(), err)
	}
	if r.ID() != id {
		return r, rpc.Errorf(rpc.CodeVerification, "deploy again", "revision %s was changed on the disk", id.Short())
	}
	return r, nil
}

// keptWith is a kept revision with the secrets that came along in place of its
// own, as far as it has them. Where they differ that is another revision, which
// is kept as well: what runs is always what its record says.
func (s *service) keptWith(p rpc.Start) (release.Revision, error) {
	r, err := s.kept(p.Kept)
	if err != nil || len(p.Secrets) == 0 {
		return r, err
	}
	fresh := maps.Clone(r.Fingerprints)
	for name := range fresh {
		if print, ok := p.Revision.Fingerprints[name]; ok {
			fresh[name] = print
		}
	}
	if maps.Equal(fresh, r.Fingerprints) {
		return r, nil
	}
	secrets, err := s.sealed(r)
	if err != nil {
		return r, err
	}
	for name := range secrets {
		if value, ok := p.Secrets[name]; ok {
			secrets[name] = value
		}
	}
	r.Fingerprints = fresh
	return r, s.keep(r, secrets)
}

// words are what templates know, for one slot.
type words struct {
	Listen, Slot, Version, DataDir, LogDir, ConfigDir string
	Port                                              int
}

func (s *service) words(r release.Revision, slot release.Slot, port int) words {
	return words{
		Listen: fmt.Sprintf("127.0.0.1:%d", port), Port: port, Slot: string(slot), Version: r.Release.Version,
		DataDir: s.dataDir(r, slot), LogDir: s.g.opts.Layout.Logs(s.name, slot),
		ConfigDir: filepath.Join(s.slotDir(slot), configName),
	}
}

// render fills the templates of args, env and files; secrets in files only.
func render(r release.Revision, w words, secrets map[string]string) (release.Revision, error) {
	var first error
	known := w.byName()
	text := func(what, file, in string) string {
		out, err := release.Fill(file, in, known)
		if err != nil && first == nil {
			first = rpc.Errorf(rpc.CodeFailed, "", "%s: %v", what, err)
		}
		return out
	}
	out := r
	out.Args, out.Env, out.Files = nil, map[string]string{}, nil
	for i, a := range r.Args {
		out.Args = append(out.Args, text(fmt.Sprintf("argument %d", i+1), "", a))
	}
	for name, value := range r.Env {
		out.Env[name] = text("environment variable "+name, "", value)
	}
	for name, value := range secrets {
		known[release.SecretsWord+name] = value
	}
	for _, f := range r.Files {
		out.Files = append(out.Files, release.RenderedFile{To: f.To, Data: []byte(text("file "+f.To, f.To, string(f.Data)))})
	}
	return out, first
}

// secretive reports whether a file of a revision will hold secrets.
func secretive(f release.RenderedFile) bool {
	return bytes.Contains(f.Data, []byte(release.SecretsWord))
}

// secrets opens what the files of a revision need.
func (s *service) secrets(r release.Revision) (map[string]string, error) {
	if !slices.ContainsFunc(r.Files, secretive) {
		return nil, nil
	}
	return s.sealed(r)
}

// sealed opens the secrets that a revision is kept with.
func (s *service) sealed(r release.Revision) (map[string]string, error) {
	out, err := s.unseal(s.revisionDir(r.ID()))
	if err != nil {
		return nil, fmt.Errorf("read secrets: %w", err)
	}
	return out, nil
}

func (w words) byName() map[string]string {
	return map[string]string{
		".Listen": w.Listen, ".Port": strconv.Itoa(w.Port), ".Slot": w.Slot, ".Version": w.Version,
		".DataDir": w.DataDir, ".LogDir": w.LogDir, ".ConfigDir": w.ConfigDir,
	}
}
