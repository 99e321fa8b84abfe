package packaging

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/Masterminds/semver/v3"

	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/release"
)

// MSIRequest says what a package for a first installation brings.
type MSIRequest struct {
	Bundle       string // path
	Helper       []byte // the program that serves on the host, for AMD64
	Manufacturer string
	Out          string // folder
	Log          func(line string)
}

// MSI writes a Windows Installer package beside a bundle. It prepares a host
// for the first deploy and does no more: the helper lies where shipper looks
// for it, and the contents of the release lie where the guard looks for what
// it has, so that the deploy sends nothing. It registers no service; a
// package is one product with one service and knows nothing of two slots.
func MSI(ctx context.Context, req MSIRequest) (string, error) {
	b, err := Open(req.Bundle)
	if err != nil {
		return "", err
	}
	defer b.Close()
	t, err := b.Target("windows", "amd64")
	if err != nil {
		return "", problem.Wrap(problem.Usage, err, "package.msi", "wixl makes packages for windows/amd64 only; add it to build.targets")
	}
	dir, err := os.MkdirTemp("", "shipper-msi-*")
	if err != nil {
		return "", problem.Wrap(problem.Failed, err, "package.msi", "")
	}
	defer os.RemoveAll(dir)
	source, err := layOut(b, t, req, dir)
	if err != nil {
		return "", err
	}
	name := strings.TrimSuffix(FileName(b.Manifest.Name, b.Release()), ".zip") + ".amd64.msi"
	return filepath.Join(req.Out, name), wixl(ctx, req, dir, source, name)
}

// layOut writes the files of the package and its description.
func layOut(b *Bundle, t TargetManifest, req MSIRequest, dir string) ([]byte, error) {
	p, err := newProduct(b, req.Manufacturer)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "helper"), req.Helper, 0o600); err != nil {
		return nil, err
	}
	var staged []wixPart
	seen := map[release.Digest]bool{}
	for i, f := range t.Files {
		if seen[f.SHA256] {
			continue
		}
		seen[f.SHA256] = true
		id := fmt.Sprintf("content%d", i)
		if err := extract(b, f, filepath.Join(dir, id)); err != nil {
			return nil, err
		}
		staged = append(staged, wixComponent(id, string(f.SHA256), b.Manifest.Name+string(f.SHA256)))
		p.Feature.Refs = append(p.Feature.Refs, wixRef{id})
	}
	digest := string(release.Of(req.Helper))
	p.Feature.Refs = append(p.Feature.Refs, wixRef{"helper"})
	p.Root = programFiles(digest, wixComponent("helper", "shipper-host.exe", digest), staged)
	out, err := xml.MarshalIndent(wix{Product: p}, "", "  ")
	return append([]byte(xml.Header), out...), err
}

func extract(b *Bundle, f release.File, to string) error {
	r, err := b.Content(f.SHA256)
	if err != nil {
		return err
	}
	defer r.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, r)
	return errors.Join(err, out.Close())
}

// wixl makes the package, and msibuild adds what wixl cannot say: the helper
// stays when the package goes, because services run it.
func wixl(ctx context.Context, req MSIRequest, dir string, source []byte, name string) error {
	err := os.WriteFile(filepath.Join(dir, "package.wxs"), source, 0o600)
	if err == nil {
		err = run(ctx, req.Log, dir, nil, "wixl", "--arch", "x64", "-o", name, "package.wxs")
	}
	if err == nil {
		err = run(ctx, req.Log, dir, nil, "msibuild", name, "-q", "UPDATE `Component` SET `Attributes` = 272 WHERE `Component` = 'helper'")
	}
	if errors.Is(err, exec.ErrNotFound) {
		return problem.Wrap(problem.Usage, err, "package.msi", "install wixl and msitools, on Debian with apt-get install wixl msitools, or set package.msi: false")
	}
	if err != nil {
		return problem.Wrap(problem.Failed, err, "package.msi", "wixl says why with --verbose")
	}
	if err := copyFile(filepath.Join(dir, name), filepath.Join(req.Out, name)); err != nil {
		return problem.Wrap(problem.Failed, err, "write package into "+req.Out, "")
	}
	return nil
}

// newProduct gives the package its numbers: the same service is the same
// product line, the same release the same product.
func newProduct(b *Bundle, manufacturer string) (*wixProduct, error) {
	m := b.Manifest
	v, err := semver.StrictNewVersion(m.Version)
	if err != nil || v.Major() > 255 || v.Minor() > 255 || v.Patch() > 65535 {
		return nil, problem.New(problem.Usage, "set package.msi: false for this version", "package.msi: Windows Installer has no version like %s", m.Version)
	}
	if manufacturer == "" {
		manufacturer = m.Name
	}
	p := &wixProduct{
		ID: guid("product", m.Name, m.Version, string(m.Digest)), UpgradeCode: guid("upgrade", m.Name), Language: "1033",
		Name: m.Name + " " + m.Version + " (prepared for shipper)", Version: fmt.Sprintf("%d.%d.%d", v.Major(), v.Minor(), v.Patch()), Manufacturer: manufacturer,
	}
	p.Package = wixPackage{ID: "*", InstallerVersion: "500", Compressed: "yes", Scope: "perMachine", Manufacturer: manufacturer, Description: b.Release().String()}
	p.Upgrade.Message = "A newer version is installed already."
	p.Media = wixMedia{ID: "1", Cabinet: "files.cab", Embed: "yes"}
	p.Feature.ID, p.Feature.Level = "all", "1"
	return p, nil
}

// guid is a UUID of version 5 over the words: the same every time.
func guid(words ...string) string {
	sum := sha1.Sum([]byte("github.com/go-shipper/shipper/msi\x00" + strings.Join(words, "\x00")))
	sum[6], sum[8] = sum[6]&0x0f|0x50, sum[8]&0x3f|0x80
	h := hex.EncodeToString(sum[:16])
	return strings.Join([]string{h[:8], h[8:12], h[12:16], h[16:20], h[20:32]}, "-")
}
