package bootstrap

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/release"
	"github.com/go-shipper/shipper/transport"
)

const (
	removeTimeout = 10 * time.Second
	maxWords      = 300 // of a host's own words in an error, in characters
)

// site is a host and where things lie there.
type site struct {
	conn     transport.Conn
	lines    lines
	allow    []string
	root     string // as in Options
	programs string
	bin      string
	arch     string // as the host calls it
}

// plain is what paths may hold: nothing that a shell would read.
var (
	plain        = regexp.MustCompile(`^[A-Za-z]:(\\[\p{L}\p{N} ._()~-]+)+$`)
	plainNoSpace = regexp.MustCompile(`^[A-Za-z]:(\\[A-Za-z0-9._-]+)+$`)
)

// survey learns where the host keeps its programs.
func survey(ctx context.Context, conn transport.Conn, o Options) (*site, error) {
	s := &site{conn: conn, lines: linesFor(o.OS), allow: o.Allow, root: o.Root}
	if facts := s.lines.facts(); facts != "" {
		if err := s.learn(ctx, facts); err != nil {
			return nil, err
		}
	}
	if o.Root != "" {
		s.programs = s.lines.programs(o.Root)
	}
	if s.programs == "" {
		return nil, problem.New(problem.Usage, "set transport.root", "place the helper: no folder for it on a host that is not Windows")
	}
	s.bin = s.join(s.programs, "bin")
	return s, nil
}

func (s *site) learn(ctx context.Context, facts string) error {
	r, err := s.conn.Run(ctx, facts, nil)
	if err != nil {
		return err
	}
	f := strings.Split(strings.TrimSpace(string(r.Stdout)), "*")
	if r.Exit != 0 || len(f) != 3 || !plainNoSpace.MatchString(f[0]) || !plain.MatchString(f[1]) || s.root != "" && !plain.MatchString(s.root) {
		return problem.New(problem.Failed, "shipper reaches Windows hosts with cmd.exe as the shell",
			"ask the host for its folders: exit code %d, %q", r.Exit, words(r))
	}
	s.lines = &windowsLines{system: f[0] + `\System32`}
	s.programs, s.arch = f[1]+`\shipper`, strings.ToLower(f[2])
	return nil
}

// fits refuses an executable for another processor, where that is known.
// Windows on ARM runs programs for AMD64.
func (s *site) fits(goarch string) error {
	if s.arch == "amd64" && goarch == "arm64" || s.arch == "x86" {
		return problem.New(problem.Usage, "set `arch` of the host in shipper.yaml", "the helper is for %s and the host is %s", goarch, s.arch)
	}
	return nil
}

func (s *site) join(parts ...string) string { return s.lines.join(parts...) }

func (s *site) executable(d release.Digest) string { return s.join(s.bin, string(d), s.lines.file()) }

func (s *site) place(exe string, installed bool) Place {
	line := func(verb string) string {
		if s.root == "" {
			return s.lines.quote(exe) + " " + verb
		}
		return s.lines.quote(exe) + " " + verb + " --root " + s.lines.quote(s.root)
	}
	return Place{Path: exe, Serve: line("serve"), Doctor: line("doctor"), Installed: installed}
}

func (s *site) ways() []string {
	if len(s.allow) == 0 {
		return []string{WayTar, WayPowerShell}
	}
	var known []string
	for _, w := range s.allow {
		if w == WayTar || w == WayPowerShell || w == WayCertutil {
			known = append(known, w)
		}
	}
	return known
}

// protect creates the root before anything lies in it.
func (s *site) protect(ctx context.Context) error {
	for _, line := range s.lines.protect(s.programs) {
		if err := s.must(ctx, line, nil); err != nil {
			if isTransport(err) || ctx.Err() != nil {
				return err
			}
			return problem.Wrap(problem.Unreachable, err, "create "+s.programs+" for administrators only",
				"the account needs administrator rights on the host")
		}
	}
	return nil
}

// digest is the SHA-256 of a file of the host, or empty if there is none.
func (s *site) digest(ctx context.Context, file string) (release.Digest, error) {
	r, err := s.conn.Run(ctx, s.lines.digest(file), nil)
	if err != nil || r.Exit != 0 {
		return "", err
	}
	return findDigest(string(r.Stdout)), nil
}

// findDigest reads the output of certutil, which is translated and in old
// versions has a blank after every byte, and of sha256sum.
func findDigest(out string) release.Digest {
	for line := range strings.Lines(out) {
		fields := strings.Fields(strings.ToLower(line))
		if len(fields) == 0 {
			continue
		}
		for _, s := range []string{fields[0], strings.Join(fields, "")} {
			if d, err := release.ParseDigest(s); err == nil {
				return d
			}
		}
	}
	return ""
}

// list gives the digests that name a folder in bin.
func (s *site) list(ctx context.Context) ([]release.Digest, error) {
	r, err := s.conn.Run(ctx, s.lines.list(s.bin), nil)
	if err != nil || r.Exit != 0 {
		return nil, err
	}
	var found []release.Digest
	for line := range strings.Lines(string(r.Stdout)) {
		if d, err := release.ParseDigest(strings.TrimSpace(line)); err == nil {
			found = append(found, d)
		}
	}
	return found, nil
}

// must runs a line that has to succeed.
func (s *site) must(ctx context.Context, line string, stdin []byte) error {
	var in io.Reader
	if stdin != nil {
		in = reader(stdin)
	}
	r, err := s.conn.Run(ctx, line, in)
	if err != nil {
		return err
	}
	if r.Exit != 0 {
		return fmt.Errorf("`%s` ended with exit code %d: %s", line, r.Exit, words(r))
	}
	return nil
}

// remove tidies up, also after the caller gave up.
func (s *site) remove(ctx context.Context, dir string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeTimeout)
	defer cancel()
	_, _ = s.conn.Run(ctx, s.lines.remove(dir), nil) // what stays can never start
}

// words is what a command said, on one line.
func words(r transport.Result) string {
	s := strings.Join(strings.Fields(strings.ToValidUTF8(string(r.Stderr)+" "+string(r.Stdout), "?")), " ")
	if u := []rune(s); len(u) > maxWords {
		s = string(u[:maxWords]) + "…"
	}
	return s
}
