//go:build !windows

package service

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// manager is systemd, by its own tool.
type manager struct {
	o     options
	units string // folder of unit files
}

func newManager(o options) (*manager, error) {
	if _, err := exec.LookPath("systemctl"); err != nil {
		return nil, fmt.Errorf("find systemd: %w", err)
	}
	return &manager{o, "/etc/systemd/system"}, nil
}

func (m *manager) close() {}

func (m *manager) unit() string   { return m.o.name + ".service" }
func (m *manager) socket() string { return m.o.name + ".socket" }

// installed names the units whose files are there.
func (m *manager) installed() []string {
	var all []string
	for _, unit := range []string{m.socket(), m.unit()} {
		if _, err := os.Stat(filepath.Join(m.units, unit)); err == nil {
			all = append(all, unit)
		}
	}
	return all
}

func (m *manager) install(ctx context.Context, exe string, r Registration) error {
	files := map[string]string{m.unit(): unitFile(m.o.name, exe, r, m.o.start, m.o.drain)}
	if r.Socket != "" {
		files[m.socket()] = socketFile(m.o.name, r)
	} else if err := m.remove(m.socket()); err != nil {
		return err
	}
	for name, text := range files {
		if err := replaceFile(filepath.Join(m.units, name), []byte(text)); err != nil {
			return err
		}
	}
	if err := m.systemctl(ctx, "daemon-reload"); err != nil {
		return err
	}
	verb := "enable"
	if r.Manual {
		verb = "disable"
	}
	return m.systemctl(ctx, append([]string{verb}, m.installed()...)...)
}

func replaceFile(path string, data []byte) error {
	temp := path + ".tmp"
	if err := os.WriteFile(temp, data, 0o644); err != nil {
		return err
	}
	return os.Rename(temp, path)
}

func (m *manager) remove(unit string) error {
	if err := os.Remove(filepath.Join(m.units, unit)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (m *manager) uninstall(ctx context.Context) error {
	units := m.installed()
	if len(units) == 0 {
		return ErrNotInstalled
	}
	if err := m.systemctl(ctx, append([]string{"disable", "--now"}, units...)...); err != nil {
		return err
	}
	for _, unit := range units {
		if err := m.remove(unit); err != nil {
			return err
		}
	}
	return m.systemctl(ctx, "daemon-reload")
}

func (m *manager) start(ctx context.Context) error { return m.drive(ctx, "start") }
func (m *manager) stop(ctx context.Context) error  { return m.drive(ctx, "stop") }

func (m *manager) drive(ctx context.Context, verb string) error {
	units := m.installed()
	if len(units) == 0 {
		return ErrNotInstalled
	}
	return m.systemctl(ctx, append([]string{verb}, units...)...)
}

func (m *manager) status(ctx context.Context) (string, error) {
	if len(m.installed()) == 0 {
		return "", ErrNotInstalled
	}
	out, err := exec.CommandContext(ctx, "systemctl", "show", "--property=ActiveState,SubState,MainPID", m.unit()).Output()
	if err != nil {
		return "", fmt.Errorf("ask systemd: %w", err)
	}
	have := map[string]string{}
	for line := range strings.Lines(string(out)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		have[name] = value
	}
	text := fmt.Sprintf("%s (%s)", have["ActiveState"], have["SubState"])
	if pid := have["MainPID"]; pid != "" && pid != "0" {
		text += ", process " + pid
	}
	return text, nil
}

func (m *manager) systemctl(ctx context.Context, args ...string) error {
	out, err := exec.CommandContext(ctx, "systemctl", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("systemctl %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}
