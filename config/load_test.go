package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-shipper/shipper/problem"
)

const good = `service:
  name: orders
  mode: console
  args: ["--listen", "{{.Listen}}", 8]
  env: {LEVEL: info, PORT_HINT: 8080}
  secrets: {TOKEN: "${env:TOKEN}"}
  files: [{from: app.json}]
traffic: {listen: ":8080"}
checks: [{http: /healthz, interval: 200ms}]
rollout:
  steps:
    - {setWeight: 2.5}
    - {pause: 30s}
    - {pause: {duration: 1m}}
    - {pause: {}}
    - {analysis: true}
    - {analysis: {}}
environments:
  stage:
    hosts: [10.0.0.1]
    transport: {user: Administrator, password: "${env:PW}"}
  prod:
    hosts: [web1.example.com, {name: web2, address: 10.0.0.2, arch: arm64, tags: {rack: 7}}]
    transport: {user: 'CORP\svc', password: "${file:secret/pw}", https: true, ca: ca.pem}
    service: {env: {LEVEL: warn}, args: [x], account: CORP\web$}
    traffic: {drainTimeout: 5s}
    rollout: {steps: [{setWeight: 10}], keepWarm: 0s}
    rollback: {auto: false}
`

func parseGood(t *testing.T, text string) *File {
	t.Helper()
	f, err := Parse("/srv/shipper.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestTargetMergesOverrides(t *testing.T) {
	f := parseGood(t, good)
	prod, err := f.Target("prod")
	if err != nil {
		t.Fatal(err)
	}
	s := prod.Service
	if s.Env["LEVEL"] != "warn" || s.Env["PORT_HINT"] != "8080" {
		t.Errorf("maps merge: %v", s.Env)
	}
	if len(s.Args) != 1 || s.Args[0] != "x" || len(prod.Rollout.Steps) != 1 {
		t.Errorf("lists replace: %v %v", s.Args, prod.Rollout.Steps)
	}
	if prod.Rollout.KeepWarm != 0 || prod.Rollback.Auto {
		t.Error("a written zero wins over the default")
	}
	if prod.Traffic.Listen != ":8080" || prod.Traffic.DrainTimeout != 5*time.Second {
		t.Errorf("traffic: %+v", prod.Traffic)
	}
	stage, err := f.Target("stage")
	if err != nil {
		t.Fatal(err)
	}
	if stage.Service.Env["LEVEL"] != "info" || stage.Service.Args[2] != "8" || !stage.Rollback.Auto {
		t.Errorf("stage saw the overrides of prod: %+v", stage.Service)
	}
}

func TestDefaultsFollow(t *testing.T) {
	f := parseGood(t, good)
	prod, _ := f.Target("prod")
	stage, _ := f.Target("stage")
	if prod.Service.Ports != (Ports{18080, 18081}) {
		t.Errorf("ports: %v", prod.Service.Ports)
	}
	if prod.Transport.Port != defaultPortHTTPS || stage.Transport.Port != defaultPort {
		t.Error("transport ports")
	}
	if got := prod.Batches(); len(got) != 1 || strings.Join(got[0], " ") != "web1.example.com web2" {
		t.Errorf("batches: %v", got)
	}
	if got := strings.Join(stage.Build.Targets, " "); got != "windows/amd64 windows/arm64" {
		t.Errorf("one build fits all environments: %s", got)
	}
	dir := filepath.Dir(prod.Path)
	if prod.Service.Files[0].From != filepath.Join(dir, "app.json") || prod.Service.Files[0].To != "app.json" {
		t.Errorf("files: %v", prod.Service.Files)
	}
	if prod.Transport.Password != "${file:"+filepath.Join(dir, "secret", "pw")+"}" || prod.Transport.CA != filepath.Join(dir, "ca.pem") {
		t.Errorf("paths: %+v", prod.Transport)
	}
	if s := stage.Analysis.Signals; len(s) != 1 || s[0].Name != "evidence" || s[0].MinRequests != defaultMinRequests || *s[0].Evidence != (EvidenceTest{defaultMaxErrors, defaultMargin, defaultTolerance}) || stage.Analysis.Alpha != defaultAlpha {
		t.Errorf("signals: %+v", s)
	}
	steps := stage.Rollout.Steps
	if *steps[0].SetWeight != 250 || *steps[1].Pause != 30*time.Second || *steps[2].Pause != time.Minute ||
		*steps[3].Pause != 0 || !steps[4].Analysis || !steps[5].Analysis {
		t.Errorf("steps: %+v", steps)
	}
}

func TestMinimalFile(t *testing.T) {
	f := parseGood(t, `
service: {name: orders}
traffic: {listen: ":80"}
rollout:
environments: {prod: {hosts: [web1], transport: {user: u, password: "${env:P}"}}}
`)
	got, err := f.Target("")
	if err != nil {
		t.Fatal(err)
	}
	if got.Environment != "prod" || got.Service.Binary != "orders" || got.Service.Ports.Blue != 10080 {
		t.Errorf("%+v", got.Service)
	}
	if len(got.Rollout.Steps) != 9 || got.Rollout.Strategy != "canary" || !got.Checks[0].TCP || got.Rollback.Lease != 30*time.Second {
		t.Errorf("%+v %+v", got.Rollout, got.Checks)
	}
}

func TestTargetNames(t *testing.T) {
	f := parseGood(t, good)
	for env, want := range map[string]string{"": "prod, stage", "prdo": "did you mean `prod`?", "x": "write one of prod, stage"} {
		_, err := f.Target(env)
		if problem.KindOf(err) != problem.Usage || !strings.Contains(problem.HintOf(err), want) {
			t.Errorf("%q: %v, hint %q", env, err, problem.HintOf(err))
		}
	}
}

func TestSlotPorts(t *testing.T) {
	for listen, want := range map[string]Ports{
		":8080": {18080, 18081}, "0.0.0.0:443": {10443, 10444}, ":39151": {19151, 19152},
		":39150": {49150, 49151}, ":65535": {45535, 45536}, "": {}, "x": {}, ":http": {},
	} {
		if got := slotPorts(listen); got != want {
			t.Errorf("%s: %v, want %v", listen, got, want)
		}
	}
}

func TestLoadFindsNoFile(t *testing.T) {
	_, err := Load(filepath.Join(t.TempDir(), "shipper.yaml"))
	if problem.KindOf(err) != problem.Usage || problem.HintOf(err) == "" || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("%v", err)
	}
}

func TestLoadIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "shipper.yaml")
	if err := os.WriteFile(path, []byte(strings.Repeat("#", maxBytes+1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("%v", err)
	}
	bomb := "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'l'; c++ {
		prev := string(c - 1)
		bomb += string(c) + ": &" + string(c) + " [" + strings.Repeat("*"+prev+",", 9) + "*" + prev + "]\n"
	}
	for name, text := range map[string]string{"bomb": bomb, "cycle": "a: &a [*a]\n", "deep": strings.Repeat("[", 9000)} {
		if _, err := Parse(name, []byte(text)); problem.KindOf(err) != problem.Usage || err == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestProblemsAreUnwrapped(t *testing.T) {
	_, err := Parse("shipper.yaml", []byte("servise: {}\ntrafic: {}\n"))
	var all Problems
	if !errors.As(err, &all) || len(all) < 3 || problem.HintOf(err) == "" {
		t.Fatalf("%v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte("a: &a [*a]\n"))
	f.Add([]byte("environments: {a: {hosts: [x], rollout: {steps: [{setWeight: 1}]}}}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := Parse("shipper.yaml", data)
		if err == nil {
			for _, name := range file.Names() {
				if _, err := file.Target(name); err != nil {
					t.Fatal(err)
				}
			}
			return
		}
		if problem.KindOf(err) != problem.Usage || err.Error() == "" {
			t.Fatalf("%v", err)
		}
	})
}
