package lab

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/go-shipper/shipper/lab/forwarder"
	"github.com/go-shipper/shipper/problem"
)

// sources are the programs that run inside of the hosts. They travel as
// source, use the standard library only, and are built once with the
// machine's Go, so that an installed shipper needs no checkout.
//
//go:embed agent/*.go standin/*.go
var sources embed.FS

// templateVersion changes when the way to make a template does.
const templateVersion = "3"

// partial ends the name of a template that is being made.
const partial = ".part"

// standIns are the names of lab/standin in C:\windows\system32.
var standIns = []string{"tar.exe", "certutil.exe", "icacls.exe", "findstr.exe"}

// template makes sure that the prefix which all hosts begin as exists, and
// returns its folder. Making it takes about ten seconds.
func template(ctx context.Context, base string, log func(string)) (string, error) {
	if cache, err := os.UserCacheDir(); err == nil {
		base = filepath.Join(cache, "shipper", "lab")
	}
	unlock, err := lockFile(filepath.Join(base, "template.lock"))
	if err != nil {
		return "", fmt.Errorf("lock the template: %w", err)
	}
	defer unlock()
	w, err := findWine("")
	if err != nil {
		return "", err
	}
	key, err := templateKey(ctx, w)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(base, "template-"+key)
	if now := time.Now(); os.Chtimes(dir, now, now) == nil {
		return dir, nil
	}
	log("making the Windows template, once (about 15 seconds)")
	if err := removeOld(base); err != nil {
		return "", err
	}
	if err := makeTemplate(ctx, w, dir); err != nil {
		return "", fmt.Errorf("make the template: %w", err)
	}
	return dir, nil
}

// unusedFor is how long a template must not have been used to be removed:
// another version of this program may be copying from one just now.
const unusedFor = 24 * time.Hour

// removeOld removes templates that nobody uses any more, and halves of ones.
// Hosts made from them keep their files.
func removeOld(base string) error {
	old, err := filepath.Glob(filepath.Join(base, "template-*"))
	if err != nil {
		return err
	}
	for _, dir := range old {
		info, err := os.Stat(dir)
		if err != nil || !strings.HasSuffix(dir, partial) && time.Since(info.ModTime()) < unusedFor {
			continue
		}
		if err := powerCut(context.Background(), filepath.Join(dir, "prefix")); err != nil {
			return err
		}
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("remove old template: %w", err)
		}
	}
	return nil
}

// templateKey stands for all that a template is made from.
func templateKey(ctx context.Context, w wine) (string, error) {
	version, err := w.version(ctx)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	fmt.Fprintln(h, templateVersion, version, runtime.Version())
	err = fs.WalkDir(sources, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := sources.ReadFile(name)
		fmt.Fprintf(h, "%s %d\n%s", name, len(b), b)
		return err
	})
	return hex.EncodeToString(h.Sum(nil))[:16], err
}

func makeTemplate(ctx context.Context, w wine, dir string) (err error) {
	w.dir = dir + partial
	defer func() {
		err = errors.Join(err, powerCut(context.WithoutCancel(ctx), w.prefix()), forgetServer(w.prefix()))
		if err == nil {
			err = os.Remove(filepath.Join(w.prefix(), "wineserver"))
		}
		if err == nil {
			err = os.Rename(w.dir, dir)
		}
		_ = os.RemoveAll(w.dir) // only there after a failure
	}()
	if err := os.MkdirAll(filepath.Join(w.dir, "home"), 0o700); err != nil {
		return err
	}
	if err := w.initialise(ctx); err != nil {
		return err
	}
	if err := enclose(w.prefix()); err != nil {
		return err
	}
	return install(ctx, w)
}

// initialise lets Wine make its prefix and waits until it has settled.
func (w wine) initialise(ctx context.Context) error {
	if err := w.run(ctx, w.loader, "wineboot", "-i"); err != nil {
		return fmt.Errorf("boot wine: %w", err)
	}
	if err := w.run(ctx, w.loader, "winecfg", "/v", "win10"); err != nil {
		return fmt.Errorf("set the version of Windows: %w", err)
	}
	for _, name := range standIns {
		err := w.run(ctx, w.loader, "reg", "add", `HKCU\Software\Wine\DllOverrides`, "/v", name, "/d", "native", "/f")
		if err != nil {
			return fmt.Errorf("prefer the stand-in %s: %w", name, err)
		}
	}
	if err := w.run(ctx, w.server, "-w"); err != nil {
		return fmt.Errorf("wait for wine: %w", err)
	}
	return nil
}

// enclose cuts the prefix off from this machine's files: the drive with
// everything, the serial ports, and the folders of the user.
func enclose(prefix string) error {
	devices, err := os.ReadDir(filepath.Join(prefix, "dosdevices"))
	if err != nil {
		return err
	}
	for _, d := range devices {
		if d.Name() != "c:" {
			err = errors.Join(err, os.Remove(filepath.Join(prefix, "dosdevices", d.Name())))
		}
	}
	links, globErr := filepath.Glob(filepath.Join(prefix, "drive_c", "users", "*", "*"))
	err = errors.Join(err, globErr)
	for _, l := range links {
		if info, statErr := os.Lstat(l); statErr == nil && info.Mode()&fs.ModeSymlink != 0 {
			err = errors.Join(err, os.Remove(l), os.Mkdir(l, 0o755))
		}
	}
	return err
}

// install puts in what Wine lacks: the DLL that Go programs need, the agent,
// and the stand-ins.
func install(ctx context.Context, w wine) error {
	system := filepath.Join(w.prefix(), "drive_c", "windows", "system32")
	dll, err := forwarder.DLL("bcryptprimitives.dll", map[string]string{"ProcessPrng": "advapi32.SystemFunction036"})
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(system, "bcryptprimitives.dll"), dll, 0o755); err != nil {
		return err
	}
	if err := build(ctx, "agent", filepath.Join(system, agentName)); err != nil {
		return err
	}
	built := filepath.Join(w.dir, "standin.exe")
	if err := build(ctx, "standin", built); err != nil {
		return err
	}
	program, err := os.ReadFile(built)
	if err != nil {
		return err
	}
	for _, name := range standIns {
		if err := replace(filepath.Join(system, name), program); err != nil {
			return err
		}
	}
	return os.Remove(built)
}

func replace(file string, content []byte) error {
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.WriteFile(file, content, 0o755)
}

// build compiles one of the embedded programs for the hosts.
func build(ctx context.Context, name, output string) error {
	dir, err := os.MkdirTemp("", "shipper-lab-build-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	files, err := sources.ReadDir(name)
	if err != nil {
		return err
	}
	for _, f := range files {
		b, err := sources.ReadFile(path.Join(name, f.Name()))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, f.Name()), b, 0o600); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module lab/"+name+"\n\ngo 1.26\n"), 0o600); err != nil {
		return err
	}
	compiler, err := exec.LookPath("go")
	if err != nil {
		return problem.Wrap(problem.Usage, err, "build the lab's "+name, "install Go: the lab builds the programs that run inside of its hosts")
	}
	cmd := exec.CommandContext(ctx, compiler, "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", output, ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the lab's %s: %w: %s", name, err, out)
	}
	return nil
}
