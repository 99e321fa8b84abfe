package pipeline

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/packaging"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/release"
)

// revision renders what a slot is to run: the release with the target's
// arguments, environment and templated files, and the secrets' fingerprints.
func (p *Pipeline) revision(m packaging.Manifest, t packaging.TargetManifest, secrets map[string]string) (release.Revision, error) {
	s := p.Target.Service
	files, err := p.renderedFiles()
	if err != nil {
		return release.Revision{}, err
	}
	r := release.Revision{
		Service:     s.Name,
		Release:     release.Release{Version: m.Version, Digest: m.Digest},
		Mode:        s.Mode,
		Executable:  t.Executable,
		Args:        s.Args,
		Env:         s.Env,
		Files:       files,
		DisplayName: s.DisplayName,
		Description: s.Description,
		Account:     s.Account,
		DependsOn:   s.Dependencies,
		StopSignal:  s.StopSignal,
		StopURL:     s.StopURL,
		StopTimeout: s.StopTimeout.Milliseconds(),
		DataPerSlot: s.Data == "perSlot",
	}
	for _, d := range s.Recovery {
		r.Recovery = append(r.Recovery, d.Milliseconds())
	}
	r.Fingerprints, err = fingerprints(r.Service, secrets)
	return r, err
}

// renderedFiles makes the files that belong to the revision. What depends on
// the slot, and the secrets, the host fills in.
func (p *Pipeline) renderedFiles() ([]release.RenderedFile, error) {
	var out []release.RenderedFile
	for _, f := range p.Target.Service.Files {
		if !f.Rendered() {
			continue
		}
		data, err := p.Target.Render(f)
		if err != nil {
			return nil, problem.Wrap(problem.Usage, err, "render service file", "check service.files in "+p.Target.Path)
		}
		out = append(out, release.RenderedFile{To: f.To, Data: data})
	}
	return out, nil
}

// secrets resolves the references once per run.
func (p *Pipeline) secrets() (map[string]string, error) {
	out := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(p.Target.Service.Secrets)) {
		v, err := config.Resolve(p.Target.Service.Secrets[name], os.LookupEnv, os.ReadFile)
		if err != nil {
			return nil, problem.Wrap(problem.Usage, err, "resolve secret "+name,
				"secrets are resolved where shipper runs; service.secrets in "+p.Target.Path+" names them")
		}
		out[name] = v
	}
	return out, nil
}

// stretch makes guessing a short secret from its fingerprint slow.
const stretch = 600_000

// fingerprints tell whether a secret changed without telling the secret. They
// are stretched, because the journal shows them to whoever may read status.
func fingerprints(service string, secrets map[string]string) (map[string]string, error) {
	out := map[string]string{}
	for name, value := range secrets {
		sum, err := pbkdf2.Key(sha256.New, value, []byte(service+"\x00"+name), stretch, 8)
		if err != nil {
			return nil, fmt.Errorf("fingerprint secret %s: %w", name, err)
		}
		out[name] = hex.EncodeToString(sum)
	}
	return out, nil
}
