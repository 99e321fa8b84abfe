package report

import (
	"fmt"
	"strings"

	"github.com/go-shipper/shipper/journal"
)

// madeKey tells where a key lies and what to do with each half.
func madeKey(d journal.Key) string {
	return fmt.Sprintf("key %.12s\n  private  %s: keep it secret; attest.key names it where bundles are built\n  public   %s: trust.keys names it; belongs into the repository\n",
		clean(d.ID), clean(d.Private), clean(d.Public))
}

// verified tells what a bundle proves, and what it does not.
func verified(d journal.Verified) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s: ok\n", clean(d.Service), name(d.Release))
	origin := "executables from elsewhere"
	if d.Builder == "go" {
		origin = fmt.Sprintf("commit %.12s, %s", clean(d.Commit), clean(d.Toolchain))
	}
	if d.Rebuilt {
		origin += "; built again: the same bits"
	}
	fmt.Fprintf(&b, "  built from  %s\n  signed by   %s\n", origin, signedBy(d))
	for _, t := range d.Targets {
		fmt.Fprintf(&b, "  %-11s %s %.12s, %d files%s%s\n", clean(t.Target), clean(t.Executable), t.SHA256, t.Files, authenticode(t), sbom(t))
	}
	if len(d.Beside) > 0 {
		fmt.Fprintf(&b, "  beside      %s\n", clean(strings.Join(d.Beside, ", ")))
	}
	return b.String()
}

func signedBy(d journal.Verified) string {
	switch {
	case d.Key == "":
		return "nobody"
	case d.Trusted:
		return fmt.Sprintf("key %.12s, which is trusted", clean(d.Key))
	}
	return fmt.Sprintf("key %.12s as it says; no key was given to check that", clean(d.Key))
}

func authenticode(t journal.VerifiedTarget) string {
	if t.Signer == "" {
		return ", no Authenticode"
	}
	return ", Authenticode by " + clean(t.Signer)
}

func sbom(t journal.VerifiedTarget) string {
	if !t.SBOM {
		return ", no SBOM"
	}
	return ", SBOM"
}
