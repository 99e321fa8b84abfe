package packaging

import (
	"bytes"
	"debug/buildinfo"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	cyclonedx "github.com/CycloneDX/cyclonedx-go"

	"github.com/go-shipper/shipper/release"
)

// sbom lists what is linked into an executable, as the executable says
// itself: CycloneDX 1.6. What was not made by Go is listed as a whole. The
// same executable gives the same bytes.
func sbom(m Manifest, t TargetManifest, path string) ([]byte, error) {
	exe := executableOf(t)
	bom := cyclonedx.NewBOM()
	bom.SpecVersion = cyclonedx.SpecVersion1_6
	bom.JSONSchema = "http://cyclonedx.org/schema/bom-1.6.schema.json"
	bom.SerialNumber = serial(exe.SHA256)
	root := cyclonedx.Component{
		BOMRef: "executable", Type: cyclonedx.ComponentTypeApplication, Name: m.Name, Version: m.Version,
		Hashes:     &[]cyclonedx.Hash{{Algorithm: cyclonedx.HashAlgoSHA256, Value: string(exe.SHA256)}},
		Properties: properties("shipper:file", t.GOOS+"_"+t.GOARCH+"/"+exe.Path, "vcs.revision", m.Commit),
	}
	bom.Metadata = &cyclonedx.Metadata{Component: &root}
	if !m.Time.IsZero() {
		bom.Metadata.Timestamp = m.Time.UTC().Format(time.RFC3339)
	}
	parts := []cyclonedx.Component{}
	if info, err := buildinfo.ReadFile(path); err == nil {
		root.PackageURL = modulePURL(info.Main.Path, m.Version)
		root.Properties = properties("shipper:file", t.GOOS+"_"+t.GOARCH+"/"+exe.Path, "vcs.revision", m.Commit,
			"golang:main", info.Path, "golang:toolchain", info.GoVersion)
		parts = components(info)
	}
	bom.Components = &parts
	bom.Dependencies = dependencies(parts)
	var out bytes.Buffer
	enc := cyclonedx.NewBOMEncoder(&out, cyclonedx.BOMFileFormatJSON)
	enc.SetPretty(true)
	if err := enc.EncodeVersion(bom, cyclonedx.SpecVersion1_6); err != nil {
		return nil, fmt.Errorf("write SBOM of %s: %w", t.Name(), err)
	}
	return out.Bytes(), nil
}

// serial is a UUID that follows from the executable.
func serial(d release.Digest) string {
	s := []byte(d[:32])
	s[12] = '8' // a UUID of its own making
	s[16] = "89ab"[strings.IndexByte("0123456789abcdef", s[16])%4]
	return fmt.Sprintf("urn:uuid:%s-%s-%s-%s-%s", s[:8], s[8:12], s[12:16], s[16:20], s[20:])
}

func components(info *debug.BuildInfo) []cyclonedx.Component {
	std := strings.TrimPrefix(info.GoVersion, "go")
	std, _, _ = strings.Cut(std, " ") // experiments follow
	all := []cyclonedx.Component{library("std", std, "")}
	for _, dep := range info.Deps {
		if dep.Replace != nil {
			dep = dep.Replace
		}
		all = append(all, library(dep.Path, dep.Version, dep.Sum))
	}
	slices.SortFunc(all, func(a, b cyclonedx.Component) int { return strings.Compare(a.BOMRef, b.BOMRef) })
	return slices.CompactFunc(all, func(a, b cyclonedx.Component) bool { return a.BOMRef == b.BOMRef })
}

// library is one module. Its sum is a hash over the module's files, not the
// hash of one file: a property.
func library(path, version, sum string) cyclonedx.Component {
	purl := modulePURL(path, version)
	return cyclonedx.Component{
		BOMRef: purl, Type: cyclonedx.ComponentTypeLibrary, Name: path, Version: version, PackageURL: purl,
		Scope: cyclonedx.ScopeRequired, Properties: properties("golang:h1", sum),
	}
}

// modulePURL is the module's package URL.
func modulePURL(path, version string) string {
	purl := "pkg:golang/" + strings.ToLower(path)
	if version != "" {
		purl += "@" + strings.ReplaceAll(version, "+", "%2B")
	}
	return purl
}

// properties are pairs of name and value; those without value are left out.
func properties(pairs ...string) *[]cyclonedx.Property {
	var list []cyclonedx.Property
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			list = append(list, cyclonedx.Property{Name: pairs[i], Value: pairs[i+1]})
		}
	}
	if list == nil {
		return nil
	}
	return &list
}

// dependencies: an executable tells what is in it, not what needs what.
func dependencies(parts []cyclonedx.Component) *[]cyclonedx.Dependency {
	refs := []string{}
	list := []cyclonedx.Dependency{}
	for _, c := range parts {
		refs = append(refs, c.BOMRef)
		list = append(list, cyclonedx.Dependency{Ref: c.BOMRef})
	}
	return new(append([]cyclonedx.Dependency{{Ref: "executable", Dependencies: &refs}}, list...))
}

// executableOf is the main executable among a target's files.
func executableOf(t TargetManifest) release.File {
	for _, f := range t.Files {
		if f.Path == t.Executable {
			return f
		}
	}
	return release.File{}
}
