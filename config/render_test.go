package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-shipper/shipper/problem"
)

const withFiles = `service:
  name: orders
  vars: {level: info, path: 'C:\logs'}
  secrets: {DB: "${env:DB}"}
  args: ["--level={{.Vars.level}}", "{{.Listen}}"]
  env: {LEVEL: "{{ .Vars.level }}"}
  files:
    - {from: app.json, set: {log: {level: "{{.Vars.level}}", dir: "{{.Vars.path}}"}, port: "{{.Port}}", db: "{{.Secrets.DB}}"}}
    - {from: app.ini, template: true}
    - {from: plain.txt}
traffic: {listen: ":80"}
environments:
  prod: {hosts: [web1], transport: {user: u, password: "${env:P}"}}
  staging: {hosts: [web2], transport: {user: u, password: "${env:P}"}, service: {vars: {level: debug}}}
`

// folder holds shipper.yaml and the files beside it.
func folder(t *testing.T, files map[string]string) *File {
	t.Helper()
	dir := t.TempDir()
	files["shipper.yaml"] = withFiles
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	f, err := Load(filepath.Join(dir, "shipper.yaml"))
	if err != nil {
		t.Fatal(told(err))
	}
	return f
}

func TestFilesAreRenderedForTheirEnvironment(t *testing.T) {
	f := folder(t, map[string]string{
		"app.json": `{"log": {"level": "error", "keep": true}, "url": "http://{{.Listen}}/{{.Vars.level}}"}`,
		"app.ini":  "level={{.Vars.level}}\nslot={{.Slot}}\n", "plain.txt": "{{no template}}",
	})
	for env, level := range map[string]string{"prod": "info", "staging": "debug"} {
		target, err := f.Target(env)
		if err != nil {
			t.Fatal(err)
		}
		if err := target.CheckFiles(); err != nil {
			t.Error(told(err))
		}
		s := target.Service
		if s.Args[0] != "--level="+level || s.Args[1] != "{{.Listen}}" || s.Env["LEVEL"] != level {
			t.Errorf("%s: args %q, env %q", env, s.Args, s.Env)
		}
		want := []string{
			"{\n  \"log\": {\n    \"level\": \"" + level + "\",\n    \"keep\": true,\n    \"dir\": \"C:\\\\logs\"\n  },\n" +
				"  \"url\": \"http://{{.Listen}}/" + level + "\",\n  \"port\": {{.Port}},\n  \"db\": \"{{.Secrets.DB}}\"\n}\n",
			"level=" + level + "\nslot={{.Slot}}\n",
		}
		for i, text := range want {
			if got, err := target.Render(s.Files[i]); err != nil || string(got) != text {
				t.Errorf("%s: %v\n%s\nwant\n%s", s.Files[i].To, err, got, text)
			}
		}
	}
}

func TestFilesThatCannotBeRendered(t *testing.T) {
	const good = `{"log": {"level": "error"}}`
	for name, tt := range map[string]struct{ json, ini, want string }{
		"unknown word":     {good, "a\nb={{.Vars.levle}}", "app.ini:2: unknown template {{.Vars.levle}}"},
		"unknown secret":   {"{\n\"a\": \"{{.Secrets.DC}}\"}", "", "app.json:2: unknown template {{.Secrets.DC}}"},
		"no end":           {good, "\n\n{{.Vars", "app.ini:3: template {{.Vars has no end"},
		"broken":           {"{\n\"log\": }", "", "app.json:2: "},
		"value for a map":  {"{\"log\":\n true}", "", "app.json:2: log is a value"},
		"larger than that": {good, strings.Repeat("x", maxFile+1), "larger than"},
	} {
		f := folder(t, map[string]string{"app.json": tt.json, "app.ini": tt.ini, "plain.txt": ""})
		target, err := f.Target("prod")
		if err != nil {
			t.Fatal(err)
		}
		err = target.CheckFiles()
		if text := told(err); problem.KindOf(err) != problem.Usage || !strings.Contains(text, tt.want) || !strings.Contains(text, "hint: ") {
			t.Errorf("%s: %s\nwant %s", name, text, tt.want)
		}
	}
}
