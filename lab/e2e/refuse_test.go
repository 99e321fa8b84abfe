//go:build linux

package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/go-shipper/shipper/lab/project"
)

// Where a host cannot be reached or trusted nothing changes, and the hint
// says what to do.
func TestHostsThatRefuse(t *testing.T) {
	b := theBench(t)
	p := b.project(t, project.Config{})
	deploy(t, p, "1.0.0", "", 0)
	if err := p.Version(t.Context(), "1.1.0", ""); err != nil {
		t.Fatal(err)
	}
	h := b.lab.Hosts()[0]
	wrong := "WRONG_PASSWORD"
	t.Setenv(wrong, "not-the-password")
	tests := map[string]struct{ transport, says, hint string }{
		"wrong password":      {fmt.Sprintf("auth: ntlm, user: %s, password: '${env:%s}'", h.User, wrong), "", "password"},
		"unknown certificate": {fmt.Sprintf("https: true, auth: basic, user: %s, password: '${env:%s}'", h.User, project.PasswordVar), "certificate", "ca"},
		"unreachable":         {fmt.Sprintf("port: 5999, auth: ntlm, user: %s, password: '${env:%s}'", h.User, project.PasswordVar), "", "WinRM"},
	}
	for name, tt := range tests {
		if err := p.Configure(project.Config{Transport: "      {type: winrm, " + tt.transport + "}\n"}); err != nil {
			t.Fatal(err)
		}
		run := shipper(t, p, 7, "deploy")
		res := run.Result()
		if !strings.Contains(res.Error, tt.says) || !strings.Contains(strings.ToLower(res.Hint), strings.ToLower(tt.hint)) {
			t.Errorf("%s: error %q, hint %q", name, res.Error, res.Hint)
		}
	}
	trusted := fmt.Sprintf("      {type: winrm, https: true, auth: basic, user: %s, password: '${env:%s}', ca: %s}\n", h.User, project.PasswordVar, h.CAFile)
	if err := p.Configure(project.Config{Transport: trusted}); err != nil {
		t.Fatal(err)
	}
	runs(t, p, "1.0.0")
	_, stop := traffic(t, p)
	deploy(t, p, "1.2.0", "", 0)
	wantNoneLost(t, stop())
}
