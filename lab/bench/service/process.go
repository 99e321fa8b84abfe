//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const requestsEach = 3000

// processes measures start and memory of both programs, in turn.
func (b *bench) processes() error {
	programs := []string{"bare", "kit"}
	for _, name := range programs {
		build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", filepath.Join(b.dir, name), "./"+name)
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", name, err, out)
		}
	}
	ready, memory := map[string][]float64{}, map[string][]float64{}
	for range 2 * b.rounds {
		for _, name := range programs {
			r, m, err := b.live(name)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			ready[name], memory[name] = append(ready[name], r), append(memory[name], m)
		}
	}
	row("a service", "bare net/http", "with the kit")
	row("start to READY, ms", fmt.Sprintf("%.1f", median(ready["bare"])), fmt.Sprintf("%.1f", median(ready["kit"])))
	row(fmt.Sprintf("resident after %d requests, MB", requestsEach), fmt.Sprintf("%.1f", median(memory["bare"])), fmt.Sprintf("%.1f", median(memory["kit"])))
	b.results["ready_ms"] = median(ready["kit"])
	b.results["extra_mb"] = median(memory["kit"]) - median(memory["bare"])
	return nil
}

// live starts a program, waits until it is ready, sends it requests, and looks
// at its memory. The kit says READY=1 as to systemd; of the bare one it is the
// first answer.
func (b *bench) live(name string) (readyMS, residentMB float64, err error) {
	dir, err := os.MkdirTemp(b.dir, name+"-")
	if err != nil {
		return 0, 0, err
	}
	defer os.RemoveAll(dir)
	if err := os.WriteFile(filepath.Join(dir, "kit.json"), []byte(`{"params": {}}`), 0o600); err != nil {
		return 0, 0, err
	}
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "notify"), Net: "unixgram"})
	if err != nil {
		return 0, 0, err
	}
	defer notify.Close()
	cmd := exec.Command(filepath.Join(b.dir, name), filepath.Join(dir, "address"))
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+filepath.Join(dir, "notify"))
	cmd.Stderr = os.Stderr
	begun := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, 0, err
	}
	defer func() {
		cmd.Process.Kill()
		cmd.Wait()
	}()
	address, err := awaitReady(name, notify, filepath.Join(dir, "address"))
	if err != nil {
		return 0, 0, err
	}
	readyMS = time.Since(begun).Seconds() * 1000
	for n := range requestsEach {
		if err := get(fmt.Sprintf("http://%s/orders/%d", address, n)); err != nil {
			return 0, 0, err
		}
	}
	residentMB, err = resident(cmd.Process.Pid)
	return readyMS, residentMB, err
}

func awaitReady(name string, notify *net.UnixConn, addressFile string) (string, error) {
	deadline := time.Now().Add(30 * time.Second)
	if name == "kit" {
		if err := notify.SetReadDeadline(deadline); err != nil {
			return "", err
		}
		for buf := make([]byte, 4096); ; {
			n, err := notify.Read(buf)
			if err != nil {
				return "", err
			}
			if strings.Contains(string(buf[:n]), "READY=1") {
				break
			}
		}
	}
	for time.Now().Before(deadline) {
		address, err := os.ReadFile(addressFile)
		if err == nil && get(fmt.Sprintf("http://%s/orders/1", address)) == nil {
			return string(address), nil
		}
	}
	return "", errors.New("not ready within 30 s")
}

func get(url string) error {
	resp, err := http.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && (resp.StatusCode != http.StatusOK || string(b) != "hello") {
		err = fmt.Errorf("%s: %q", resp.Status, b)
	}
	return err
}

// resident is the memory of a process that the system holds for it, in MB.
func resident(pid int) (float64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kb / 1000 * 1.024, err
		}
	}
	return 0, errors.New("no VmRSS")
}
