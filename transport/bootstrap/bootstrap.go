// Package bootstrap places the helper program on a host where nothing of
// ours runs yet, and proves it: what starts has the digest that was asked
// for, and lies where only administrators write. Nothing half-copied ever
// gets the name under which it starts.
package bootstrap

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/release"
	"github.com/go-shipper/shipper/transport"
)

// Ways of Options.Allow.
const (
	WayTar        = "tar"        // tar.exe of Windows, since Server 2019
	WayPowerShell = "powershell" // plain PowerShell that reads stdin
	WayCertutil   = "certutil"   // findstr and certutil.exe -decode; never unless it is named: scanners know it from attacks
)

// Options of a placement. The zero value is a Windows host.
type Options struct {
	Allow []string // ways in the order they are tried; default tar, powershell
	OS    string   // GOOS of the host; default windows
	Root  string   // folder on the host instead of Program Files and ProgramData
	Keep  bool     // Leave takes away the guard and keeps the helper
}

// Place is where the helper lies on a host.
type Place struct {
	Path      string // of the executable
	Serve     string // command line that starts the bridge
	Doctor    string // command line that examines the host
	Installed bool   // by this call
}

// ErrMissing says that no usable helper is on the host.
var ErrMissing = errors.New("no helper on this host")

// Ensure makes sure that h is on the host and starts there. Its digest is
// compared before it is first started. Several controllers may do this at
// the same time. Errors of the host are problem.Error with a remedy; what
// the wire did wrong is a *transport.Error.
func Ensure(ctx context.Context, conn transport.Conn, h *Helper, o Options) (Place, error) {
	s, err := survey(ctx, conn, o)
	if err != nil {
		return Place{}, err
	}
	if err := s.fits(h.arch); err != nil {
		return Place{}, err
	}
	exe := s.executable(h.digest)
	if got, err := s.digest(ctx, exe); err != nil || got == h.digest {
		return s.place(exe, false), err
	}
	if err := s.protect(ctx); err != nil {
		return Place{}, err
	}
	if err := s.install(ctx, h); err != nil {
		return Place{}, err
	}
	if err := s.firstStart(ctx, h.digest); err != nil {
		return Place{}, err
	}
	return s.place(exe, true), nil
}

// Locate finds a helper without changing anything: the one with digest want,
// else the newest whose content matches its name. want may be empty. Without
// any it returns ErrMissing.
func Locate(ctx context.Context, conn transport.Conn, want release.Digest, o Options) (Place, error) {
	s, err := survey(ctx, conn, o)
	if err != nil {
		return Place{}, err
	}
	if want != "" {
		exe := s.executable(want)
		if got, err := s.digest(ctx, exe); err != nil || got == want {
			return s.place(exe, false), err
		}
	}
	found, err := s.list(ctx)
	if err != nil {
		return Place{}, err
	}
	for _, d := range found[:min(len(found), maxCandidates)] {
		exe := s.executable(d)
		if got, err := s.digest(ctx, exe); err != nil || got == d {
			return s.place(exe, false), err
		}
	}
	return Place{}, ErrMissing
}

// maxCandidates bounds how many damaged helpers Locate looks at.
const maxCandidates = 4

// install unpacks into a staging folder, compares, and renames.
func (s *site) install(ctx context.Context, h *Helper) error {
	var failed []error
	for _, way := range s.ways() {
		stage := s.join(s.bin, ".stage-"+newName())
		err := s.stage(ctx, h, way, stage)
		if err == nil {
			err = s.settle(ctx, h.digest, stage)
		}
		s.remove(ctx, stage) // gone already if all went well
		if err == nil {
			return nil
		}
		if ctx.Err() != nil || isTransport(err) {
			return err
		}
		failed = append(failed, fmt.Errorf("%s: %w", way, err))
	}
	if len(failed) == 0 {
		return problem.New(problem.Usage, "write `bootstrap.allow: [tar, powershell]`", "place the helper on the host: no way is allowed")
	}
	return problem.Wrap(kindOf(failed), errors.Join(failed...), "place the helper on the host",
		"the host needs tar.exe (Windows Server 2019 or later) or PowerShell in full language mode, each named in bootstrap.allow; or put the helper there by your own means")
}

// stage fills the folder with the helper and checks it. An input that may
// have arrived twice shows as a wrong digest or a failed command; once more
// is then worth a try.
func (s *site) stage(ctx context.Context, h *Helper, way, stage string) error {
	if err := s.must(ctx, s.lines.mkdir(stage), nil); err != nil {
		return err
	}
	file := s.join(stage, s.lines.file())
	var err error
	for range 2 {
		if err = s.must(ctx, s.lines.unpack(way, stage, file), h.payload(way)); err != nil {
			continue
		}
		var got release.Digest
		if got, err = s.digest(ctx, file); err == nil && got == h.digest {
			return nil
		}
		if err == nil {
			err = wrongDigest(got, h.digest)
		}
	}
	return err
}

func wrongDigest(got, want release.Digest) error {
	if got == "" {
		return problem.New(problem.Verification, "", "the helper did not arrive, or the host cannot tell its digest")
	}
	return problem.New(problem.Verification, "", "the helper arrived with digest %s, want %s", got.Short(), want.Short())
}

// settle gives the staged folder its name. Another controller may have been
// faster; a damaged helper under the name is put aside; a scanner may hold
// the new file for a moment, and with it the folder.
func (s *site) settle(ctx context.Context, want release.Digest, stage string) error {
	final := s.join(s.bin, string(want))
	for try := 1; ; try++ {
		err := s.must(ctx, s.lines.rename(stage, final), nil)
		got, derr := s.digest(ctx, s.executable(want))
		switch {
		case derr != nil || got == want:
			return derr
		case err == nil:
			return problem.New(problem.Verification, hintChanged, "the helper changed after it was placed")
		case isTransport(err) || try == sharingTries:
			return fmt.Errorf("name the helper: %w", err)
		case got != "" || try > sharingTries/2: // damaged, or a folder without its helper
			s.putAside(ctx, final)
		default:
			if err := wait(ctx, sharingPause); err != nil {
				return err
			}
		}
	}
}

// putAside frees the name of the helper. It may be running: a file in use
// can be renamed, but not removed.
func (s *site) putAside(ctx context.Context, final string) {
	broken := s.join(s.bin, ".broken-"+newName())
	if s.must(ctx, s.lines.rename(final, broken), nil) == nil {
		s.remove(ctx, broken)
	}
}

const hintChanged = "a virus scanner may have taken it: allow %ProgramFiles%\\shipper\\bin there, or have the helper signed"

func kindOf(errs []error) problem.Kind {
	for _, err := range errs {
		if k := problem.KindOf(err); k != problem.Failed {
			return k
		}
	}
	return problem.Failed
}

func isTransport(err error) bool {
	var t *transport.Error
	return errors.As(err, &t) && t.Kind != transport.Broken
}

func reader(payload []byte) *bytes.Reader { return bytes.NewReader(payload) }
