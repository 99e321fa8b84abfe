package packaging

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"text/template"
	"time"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/packaging/authenticode"
	"github.com/go-shipper/shipper/problem"
)

// passwordVariable is where a signing command finds sign.password.
const passwordVariable = "SHIPPER_SIGN_PASSWORD"

// signer gives executables their Authenticode signature.
type signer struct {
	config.Sign
	dir     string // where the command runs, and of passwords on their way
	name    string // of the service
	version string
	time    time.Time // of the commit
	log     func(string)
	ecdsa   bool // something was signed by such a key
}

// sign signs the file at path in place, and looks at the result: a tool that
// says it signed is not believed.
func (s *signer) sign(ctx context.Context, path string) error {
	password, err := secret(s.Password)
	if err != nil {
		return problem.Wrap(problem.Usage, err, "read sign.password", "secrets are resolved where shipper runs")
	}
	before, err := peDigest(path)
	if err != nil {
		return problem.Wrap(problem.Failed, err, "sign "+filepath.Base(path), "only executables of Windows can be signed")
	}
	if len(s.Command) > 0 {
		err = s.command(ctx, path, password)
	} else {
		err = s.osslsigncode(ctx, path, password)
	}
	if err != nil {
		return err
	}
	if after, err := peDigest(path); err != nil || !bytes.Equal(before, after) {
		return problem.New(problem.Verification, "let it sign {{.File}} in place and change nothing else", "sign: the command changed more of %s than its signature", filepath.Base(path))
	}
	signature, err := signatureOf(path)
	if err != nil {
		return problem.Wrap(problem.Verification, err, "look at the signature of "+filepath.Base(path), "let sign.command sign {{.File}} in place")
	}
	s.ecdsa = s.ecdsa || signature.Signer.PublicKeyAlgorithm == x509.ECDSA
	s.log(fmt.Sprintf("signed %s as %s", filepath.Base(path), signature.Signer.Subject.CommonName))
	return nil
}

func secret(ref string) (string, error) {
	if ref == "" {
		return "", nil
	}
	return config.Resolve(ref, os.LookupEnv, os.ReadFile)
}

func peDigest(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return authenticode.Digest(f, info.Size())
}

func signatureOf(path string) (*authenticode.Signature, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return authenticode.Verify(f, info.Size())
}

// osslsigncode signs with the commit's time, so that the result is the same
// each time. The password travels in a file of its own.
func (s *signer) osslsigncode(ctx context.Context, path, password string) error {
	out := path + ".signed"
	defer os.Remove(out)
	args := []string{"sign", "-h", "sha256", "-n", s.name, "-time", strconv.FormatInt(s.time.Unix(), 10)}
	if s.PKCS12 != "" {
		args = append(args, "-pkcs12", s.PKCS12)
	} else {
		args = append(args, "-certs", s.Certificate, "-key", s.Key)
	}
	if password != "" {
		file := filepath.Join(s.dir, "password")
		defer os.Remove(file)
		if err := os.WriteFile(file, []byte(password), 0o600); err != nil {
			return problem.Wrap(problem.Failed, err, "sign", "")
		}
		args = append(args, "-readpass", file)
	}
	hint := "check certificate, key and password under sign"
	if s.Timestamp != "" {
		args = append(args, "-ts", s.Timestamp)
		hint += ", and whether sign.timestamp can be reached: " + s.Timestamp
	}
	err := run(ctx, nil, s.dir, nil, "osslsigncode", append(args, "-in", path, "-out", out)...)
	if errors.Is(err, exec.ErrNotFound) {
		return problem.Wrap(problem.Usage, err, "sign", "install osslsigncode, or name another tool in sign.command")
	}
	if err != nil {
		return problem.Wrap(problem.Failed, err, "sign "+filepath.Base(path)+" with osslsigncode", hint)
	}
	return os.Rename(out, path)
}

// command runs the user's own tool; its words are templates. A command that
// does not mention the file gets it as the last word.
func (s *signer) command(ctx context.Context, path, password string) error {
	fields := map[string]string{"File": path, "Name": s.name, "Version": s.version, "Time": strconv.FormatInt(s.time.Unix(), 10)}
	var args []string
	named := false
	for _, word := range s.Command {
		t, err := template.New("sign.command").Option("missingkey=error").Parse(word)
		var out strings.Builder
		if err == nil {
			err = t.Execute(&out, fields)
		}
		if err != nil {
			return problem.Wrap(problem.Usage, err, "read sign.command", "use {{.File}}, {{.Name}}, {{.Version}}, {{.Time}}")
		}
		named = named || strings.Contains(out.String(), path)
		args = append(args, out.String())
	}
	if !named {
		args = append(args, path)
	}
	var env []string
	if password != "" {
		env = []string{passwordVariable + "=" + password}
	}
	if err := run(ctx, s.log, s.dir, env, args[0], args[1:]...); err != nil {
		return problem.Wrap(problem.Failed, err, "sign "+filepath.Base(path)+" by sign.command", "make the command pass by hand")
	}
	return nil
}

// varies says, after signing, why two builds of the same commit will differ, or nothing.
func (s *signer) varies() string {
	switch {
	case len(s.Command) > 0:
		return "sign.command: the same commit gives the same bundle only if that command signs the same way each time"
	case s.Timestamp != "":
		return "sign.timestamp: each build gets a time stamp of its own, so two bundles of one commit differ; the digest of what was signed is the same"
	case s.ecdsa:
		return "sign: a key for ECDSA signs differently each time, so two bundles of one commit differ; the digest of what was signed is the same, and a key for RSA would give the same bundle"
	}
	return ""
}
