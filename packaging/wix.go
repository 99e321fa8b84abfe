package packaging

import "encoding/xml"

// The few words of the WiX language that a package of ours needs.

type wix struct {
	XMLName xml.Name    `xml:"http://schemas.microsoft.com/wix/2006/wi Wix"`
	Product *wixProduct `xml:"Product"`
}

type wixProduct struct {
	ID           string     `xml:"Id,attr"`
	Name         string     `xml:"Name,attr"`
	Language     string     `xml:"Language,attr"`
	Version      string     `xml:"Version,attr"`
	Manufacturer string     `xml:"Manufacturer,attr"`
	UpgradeCode  string     `xml:"UpgradeCode,attr"`
	Package      wixPackage `xml:"Package"`
	Upgrade      struct {
		Message string `xml:"DowngradeErrorMessage,attr"`
	} `xml:"MajorUpgrade"`
	Media   wixMedia `xml:"Media"`
	Root    wixDir   `xml:"Directory"`
	Feature struct {
		ID    string   `xml:"Id,attr"`
		Level string   `xml:"Level,attr"`
		Refs  []wixRef `xml:"ComponentRef"`
	} `xml:"Feature"`
}

type wixPackage struct {
	ID               string `xml:"Id,attr"`
	InstallerVersion string `xml:"InstallerVersion,attr"`
	Compressed       string `xml:"Compressed,attr"`
	Scope            string `xml:"InstallScope,attr"`
	Manufacturer     string `xml:"Manufacturer,attr"`
	Description      string `xml:"Description,attr"`
}

type wixMedia struct {
	ID      string `xml:"Id,attr"`
	Cabinet string `xml:"Cabinet,attr"`
	Embed   string `xml:"EmbedCab,attr"`
}

type wixDir struct {
	ID         string    `xml:"Id,attr"`
	Name       string    `xml:"Name,attr,omitempty"`
	Components []wixPart `xml:"Component"`
	Dirs       []wixDir  `xml:"Directory"`
}

type wixPart struct {
	ID    string `xml:"Id,attr"`
	GUID  string `xml:"Guid,attr"`
	Win64 string `xml:"Win64,attr"`
	File  struct {
		ID      string `xml:"Id,attr"`
		Name    string `xml:"Name,attr"`
		Source  string `xml:"Source,attr"`
		KeyPath string `xml:"KeyPath,attr"`
	} `xml:"File"`
}

type wixRef struct {
	ID string `xml:"Id,attr"`
}

// programFiles is shipper's folder on a host: bin\DIGEST with the helper, and
// the contents that the guard has not taken yet.
func programFiles(digest string, helper wixPart, staged []wixPart) wixDir {
	bin := wixDir{ID: "BIN", Name: "bin", Dirs: []wixDir{{ID: "HELPER", Name: digest, Components: []wixPart{helper}}}}
	shipper := wixDir{ID: "SHIPPER", Name: "shipper", Dirs: []wixDir{bin, {ID: "STAGING", Name: "staging", Components: staged}}}
	return wixDir{ID: "TARGETDIR", Name: "SourceDir", Dirs: []wixDir{{ID: "ProgramFiles64Folder", Dirs: []wixDir{shipper}}}}
}

// wixComponent is one file; key makes it the same component in every package.
func wixComponent(id, name, key string) wixPart {
	c := wixPart{ID: id, GUID: guid("component", key), Win64: "yes"}
	c.File.ID, c.File.Name, c.File.Source, c.File.KeyPath = id, name, id, "yes"
	return c
}
