package helper

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

const (
	module    = "github.com/go-shipper/shipper"
	program   = "./cmd/shipper-host"
	keepBuilt = 8 // builds in the user's cache
)

// buildFlags give small programs: what is on no request's and no push's way is
// compiled without inlining, which saves 5 %. The last pattern that fits counts.
var buildFlags = []string{
	"-trimpath", "-buildvcs=false", "-ldflags=-s -w",
	"-gcflags=" + module + "/...=-l",
	"-gcflags=" + module + "/host/router/...=",
	"-gcflags=" + module + "/delta/...=",
	"-gcflags=golang.org/x/sys/windows/...=-l",
	"-gcflags=compress/...=-l",
	"-gcflags=crypto/ecdsa=-l",
	"-gcflags=crypto/rsa=-l",
	"-gcflags=crypto/tls=-l",
	"-gcflags=crypto/x509/...=-l",
	"-gcflags=crypto/hpke=-l",
	"-gcflags=debug/...=-l",
	"-gcflags=encoding/asn1=-l",
	"-gcflags=encoding/json=-l",
	"-gcflags=flag=-l",
	"-gcflags=fmt=-l",
	"-gcflags=log/slog/...=-l",
	"-gcflags=math/big=-l",
	"-gcflags=mime/...=-l",
	"-gcflags=net/url=-l",
	"-gcflags=os=-l",
	"-gcflags=os/exec=-l",
	"-gcflags=path/filepath=-l",
	"-gcflags=reflect=-l",
	"-gcflags=internal/syscall/...=-l",
	"-gcflags=syscall=-l",
	"-gcflags=text/...=-l",
	"-gcflags=vendor/golang.org/x/crypto/cryptobyte/...=-l",
	"-gcflags=vendor/golang.org/x/net/dns/...=-l",
	"-gcflags=vendor/golang.org/x/net/idna=-l",
	"-gcflags=vendor/golang.org/x/text/...=-l",
}

// Build compiles shipper-host of the module in dir for goos and goarch into
// out. The same source gives the same bytes on every machine.
func Build(ctx context.Context, dir, goos, goarch, out string) error {
	cmd := exec.CommandContext(ctx, "go", slices.Concat([]string{"build"}, buildFlags, []string{"-o", out, program})...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOOS="+goos, "GOARCH="+goarch, "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off")
	if msg, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s for %s/%s: %w: %s", program, goos, goarch, err, lastLines(msg))
	}
	return nil
}

// build returns the helper of this program's own source from the user's
// cache, where it is compiled to first if need be.
func build(ctx context.Context, goos, goarch string) ([]byte, string, error) {
	if _, err := exec.LookPath("go"); err != nil {
		return nil, "", err
	}
	dir, key, err := source(ctx)
	if err != nil {
		return nil, "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, "", err
	}
	return cached(ctx, filepath.Join(cache, "shipper", "helper"), dir, key, goos, goarch)
}

func cached(ctx context.Context, cache, dir, key, goos, goarch string) ([]byte, string, error) {
	id := sha256.Sum256([]byte(strings.Join(append(buildFlags, key, runtime.Version(), goos, goarch), "\x00")))
	file := filepath.Join(cache, hex.EncodeToString(id[:16])+"-"+File(goos, goarch))
	if exe, err := os.ReadFile(file); err == nil && len(exe) > 0 {
		_ = os.Chtimes(file, time.Time{}, time.Now()) // for prune; a build that looks old is only built again
		return exe, file, nil
	}
	if err := os.MkdirAll(cache, 0o700); err != nil {
		return nil, "", err
	}
	tmp, err := os.MkdirTemp(cache, ".build-")
	if err != nil {
		return nil, "", err
	}
	defer os.RemoveAll(tmp)
	out := filepath.Join(tmp, File(goos, goarch))
	if err := Build(ctx, dir, goos, goarch, out); err != nil {
		return nil, "", err
	}
	exe, err := os.ReadFile(out)
	if err != nil {
		return nil, "", err
	}
	return exe, file, errors.Join(os.Rename(out, file), prune(cache))
}

// source is a folder with this module's source, and a key that changes when
// the source does.
func source(ctx context.Context) (dir, key string, err error) {
	for _, start := range []func() (string, error){sourceOfBuild, os.Getwd} {
		if at, err := start(); err == nil {
			if dir, ok := checkout(at); ok {
				key, err := sourceKey(dir)
				return dir, key, err
			}
		}
	}
	version, sum := moduleVersion()
	if sum == "" {
		return "", "", errors.New("the source of this shipper is not here")
	}
	dir, err = download(ctx, version)
	return dir, version + " " + sum, err
}

// sourceOfBuild is where this file lay when it was compiled, unless the
// build was trimmed.
func sourceOfBuild() (string, error) {
	_, file, _, ok := runtime.Caller(0)
	if !ok || !filepath.IsAbs(file) {
		return "", fs.ErrNotExist
	}
	return filepath.Dir(file), nil
}

// checkout walks up to the folder with this module's go.mod.
func checkout(dir string) (string, bool) {
	for {
		b, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil {
			first, _, _ := strings.Cut(string(b), "\n")
			return dir, strings.TrimSpace(first) == "module "+module
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", false
		}
		dir = up
	}
}

// sourceKey hashes all that can go into a build.
func sourceKey(root string) (string, error) {
	h := sha256.New()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if path != root && (strings.HasPrefix(name, ".") || name == "testdata" || name == "bin" || name == "docs") {
				return filepath.SkipDir
			}
			return nil
		}
		if strings.HasSuffix(name, "_test.go") || !d.Type().IsRegular() || !strings.HasSuffix(name, ".go") && name != "go.mod" && name != "go.sum" {
			return nil
		}
		return addFile(h, root, path)
	})
	return hex.EncodeToString(h.Sum(nil)), err
}

func addFile(w io.Writer, root, path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	rel, err := filepath.Rel(root, path)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s %d\n%s", filepath.ToSlash(rel), len(b), b)
	return err
}

// moduleVersion is the version this program was installed from; no sum for a
// local build.
func moduleVersion() (version, sum string) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "", ""
	}
	for _, m := range append([]*debug.Module{&info.Main}, info.Deps...) {
		if m.Path == module {
			return m.Version, m.Sum
		}
	}
	return "", ""
}

// download finds the module in Go's module cache, or fetches it.
func download(ctx context.Context, version string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", module+"@"+version)
	cmd.Dir = os.TempDir()
	out, err := cmd.Output()
	var info struct{ Dir, Error string }
	if jsonErr := json.Unmarshal(out, &info); jsonErr != nil || info.Dir == "" {
		return "", fmt.Errorf("go mod download %s@%s: %w", module, version, errors.Join(err, errors.New(info.Error)))
	}
	return info.Dir, nil
}

// prune keeps the builds that were used last.
func prune(cache string) error {
	entries, err := os.ReadDir(cache)
	if err != nil {
		return err
	}
	type used struct {
		name string
		at   time.Time
	}
	var builds []used
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
			builds = append(builds, used{e.Name(), info.ModTime()})
		}
	}
	slices.SortFunc(builds, func(a, b used) int { return b.at.Compare(a.at) })
	for _, b := range builds[min(len(builds), keepBuilt):] {
		_ = os.Remove(filepath.Join(cache, b.name)) // in use on Windows: next time
	}
	return nil
}

func lastLines(b []byte) string {
	const most = 2000
	b = bytes.TrimSpace(b)
	return string(b[max(0, len(b)-most):])
}
