package packaging

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"
	"github.com/tc-hib/winres"
	"github.com/tc-hib/winres/version"

	"github.com/go-shipper/shipper/config"
)

// appManifest tells Windows that the program knows its newer versions, long
// paths and UTF-8, and needs no rights to be started.
const appManifest = `<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<assembly xmlns="urn:schemas-microsoft-com:asm.v1" manifestVersion="1.0">
  <trustInfo xmlns="urn:schemas-microsoft-com:asm.v3"><security><requestedPrivileges>
    <requestedExecutionLevel level="asInvoker" uiAccess="false"/>
  </requestedPrivileges></security></trustInfo>
  <compatibility xmlns="urn:schemas-microsoft-com:compatibility.v1"><application>
    <supportedOS Id="{8e0f7a12-bfb3-4fe8-b9a5-48fd50a15a9a}"/>
  </application></compatibility>
  <application xmlns="urn:schemas-microsoft-com:asm.v3"><windowsSettings>
    <longPathAware xmlns="http://schemas.microsoft.com/SMI/2016/WindowsSettings">true</longPathAware>
    <activeCodePage xmlns="http://schemas.microsoft.com/SMI/2019/WindowsSettings">UTF-8</activeCodePage>
  </windowsSettings></application>
</assembly>
`

// label is what the version resource of an executable says.
type label struct {
	config.Resource
	file    string // name of the executable
	version string
	time    time.Time // of the commit
}

// stamp writes the executable at from to to, with version, manifest and icon.
// What it has of them already stays. It comes after the build: a resource in
// the source's folder would make the tree dirty. The result is the same each
// time.
func stamp(from, to string, l label) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	rs, err := winres.LoadFromEXE(in)
	if errors.Is(err, winres.ErrNoResources) {
		rs, err = &winres.ResourceSet{}, nil
	}
	if err == nil {
		err = l.fill(rs)
	}
	if err != nil {
		return err
	}
	if _, err := in.Seek(0, io.SeekStart); err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	return errors.Join(rs.WriteToEXE(out, in), out.Close())
}

// fill adds what is missing.
func (l label) fill(rs *winres.ResourceSet) error {
	if !has(rs, winres.RT_VERSION) {
		info, err := l.info()
		if err != nil {
			return err
		}
		rs.SetVersionInfo(info)
	}
	if !has(rs, winres.RT_MANIFEST) {
		if err := rs.Set(winres.RT_MANIFEST, winres.ID(1), winres.LCIDNeutral, []byte(appManifest)); err != nil {
			return err
		}
	}
	if l.Icon == "" || has(rs, winres.RT_GROUP_ICON) {
		return nil
	}
	f, err := os.Open(l.Icon)
	if err != nil {
		return err
	}
	defer f.Close()
	icon, err := winres.LoadICO(f)
	if err != nil {
		return fmt.Errorf("read icon %s: %w", l.Icon, err)
	}
	return rs.SetIcon(winres.ID(1), icon)
}

func has(rs *winres.ResourceSet, kind winres.ID) bool {
	found := false
	rs.WalkType(kind, func(winres.Identifier, uint16, []byte) bool {
		found = true
		return false
	})
	return found
}

func (l label) info() (version.Info, error) {
	v, err := semver.StrictNewVersion(l.version)
	if err != nil {
		return version.Info{}, err
	}
	numbers := [4]uint16{number(v.Major()), number(v.Minor()), number(v.Patch())}
	info := version.Info{FileVersion: numbers, ProductVersion: numbers, Timestamp: l.time}
	info.Flags.Prerelease = v.Prerelease() != ""
	for key, value := range map[string]string{
		version.CompanyName: l.Company, version.ProductName: l.Product, version.FileDescription: l.Description,
		version.LegalCopyright: l.Copyright, version.FileVersion: l.version, version.ProductVersion: l.version,
		version.OriginalFilename: l.file, version.InternalName: strings.TrimSuffix(l.file, ".exe"),
	} {
		if value == "" {
			continue
		}
		if err := info.Set(version.LangDefault, key, value); err != nil {
			return info, fmt.Errorf("build.resource: %s: %w", key, err)
		}
	}
	return info, nil
}

// number fits a part of a version into the 16 bits that Windows has for it.
func number(n uint64) uint16 { return uint16(min(n, 65535)) }
