// Package promtest starts a real Prometheus for tests.
package promtest

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"
)

// listening is the line that tells the port which the system has chosen.
var listening = regexp.MustCompile(`msg="Listening on" address=(\S+)`)

// Start runs Debian's Prometheus, which scrapes target, until the test ends,
// and returns its address once it listens.
func Start(t *testing.T, target string, every time.Duration) string {
	t.Helper()
	exe, err := exec.LookPath("prometheus")
	if err != nil {
		t.Skip("prometheus is not installed: build/ensure promtool")
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "prometheus.yml")
	text := fmt.Sprintf("global: {scrape_interval: %s}\nscrape_configs: [{job_name: test, static_configs: [{targets: [%q]}]}]\n", every, target)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address=127.0.0.1:0")
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines, over := bufio.NewScanner(log), make(chan struct{})
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-over
		_ = cmd.Wait() // it was killed
	})
	for lines.Scan() {
		if m := listening.FindStringSubmatch(lines.Text()); m != nil {
			go func() { _, _ = io.Copy(io.Discard, log); close(over) }()
			return "http://" + m[1]
		}
	}
	close(over)
	t.Fatalf("prometheus does not listen: %v", lines.Err())
	return ""
}
