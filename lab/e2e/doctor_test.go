//go:build linux

package e2e

import (
	"strings"
	"testing"

	"github.com/go-shipper/shipper/lab/project"
)

// A bare host is examined from within, and left as it was.
func TestDoctorExaminesABareHost(t *testing.T) {
	b := theBench(t)
	l := b.ownLab(t, 1)
	p := b.projectOn(t, l.Hosts(), unattended())
	before := snapshot(t, l)
	run := shipper(t, p, 0, "doctor")
	told := story(run)
	for _, want := range []string{`"check":"windows","state":"ok"`, `"check":"helper","state":"ok","detail":"was placed, started, and taken away again"`, `"check":"service logon","state":"unknown"`} {
		if !strings.Contains(told, want) {
			t.Errorf("%s is missing in\n%s", want, told)
		}
	}
	if after := snapshot(t, l); after != before {
		t.Errorf("the doctor left a trace\nbefore:\n%s\nafter:\n%s", before, after)
	}
	deploy(t, p, "1.0.0", "", 0)
	if told := story(shipper(t, p, 0, "doctor")); !strings.Contains(told, "belongs to shipper's router") {
		t.Errorf("after a deploy:\n%s", told)
	}
	if err := p.Configure(project.Config{Transport: "      {type: winrm, port: 5999, user: u, password: '${env:" + project.PasswordVar + "}'}\n"}); err != nil {
		t.Fatal(err)
	}
	if told := story(shipper(t, p, 7, "doctor")); !strings.Contains(told, "open: 5985 (WinRM)") {
		t.Errorf("wrong port:\n%s", told)
	}
}
