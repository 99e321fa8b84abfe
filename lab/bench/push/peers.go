//go:build linux

package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-shipper/shipper/transport"
	"github.com/go-shipper/shipper/transport/winrm"
)

// peerLine starts the host's end of the peers.
const peerLine = `C:\shipper-peer.exe`

// ceiling posts full envelopes back to back to a program that reads and
// forgets, and gives bytes per second.
func ceiling(ctx context.Context, cfg winrm.Config, content []byte) (float64, error) {
	return stream(ctx, cfg, peerLine+" sink", func(p transport.Pipe) error {
		for rest := content; len(rest) > 0; {
			n := min(len(rest), p.MaxWrite())
			if _, err := p.Write(rest[:n]); err != nil {
				return err
			}
			rest = rest[n:]
		}
		return nil
	}, len(content))
}

// doubled is Ansible's way over our own transport: what its method costs by
// itself, without its program.
func doubled(ctx context.Context, cfg winrm.Config, content []byte) (float64, error) {
	return stream(ctx, cfg, peerLine+` lines C:\doubled.bin`, func(p transport.Pipe) error {
		for rest := content; len(rest) > 0; {
			n := min(len(rest), ansiblePiece)
			line := append(base64.StdEncoding.AppendEncode(nil, rest[:n]), "\r\n"...)
			if _, err := p.Write(line); err != nil {
				return err
			}
			rest = rest[n:]
		}
		return nil
	}, len(content))
}

const ansiblePiece = 250_000

func stream(ctx context.Context, cfg winrm.Config, line string, send func(transport.Pipe) error, size int) (float64, error) {
	c, err := winrm.Dial(ctx, cfg)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	p, err := c.Pipe(ctx, line)
	if err != nil {
		return 0, err
	}
	if _, err := p.Write([]byte("\r\n")); err != nil { // the program runs
		return 0, err
	}
	began := time.Now()
	if err := send(p); err != nil {
		return 0, err
	}
	return rate(size, time.Since(began)), p.Close()
}

//go:embed ansible.py
var ansibleScript string

// ansible copies the content with the library that Ansible uses.
func ansible(ctx context.Context, dir string, cfg winrm.Config, content []byte) (float64, error) {
	const python = "/usr/bin/python3" // Debian's own: others do not see its packages
	file := filepath.Join(dir, "content")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		return 0, err
	}
	settings := filepath.Join(dir, "openssl.cnf") // MD4, which NTLM needs, is a legacy algorithm
	if err := os.WriteFile(settings, []byte(legacy), 0o600); err != nil {
		return 0, err
	}
	scheme := "http"
	if cfg.HTTPS {
		scheme = "https"
	}
	cmd := exec.CommandContext(ctx, python, "-c", ansibleScript, file, peerLine+` lines C:\ansible.bin`)
	cmd.Env = append(os.Environ(), "OPENSSL_CONF="+settings, "NO_PROXY=*", "PYTHONWARNINGS=ignore",
		fmt.Sprintf("PEER_URL=%s://%s:%d/wsman", scheme, cfg.Address, cfg.Port), "PEER_USER="+cfg.User, "PEER_PASSWORD="+cfg.Password, "PEER_CA="+cfg.CAFile)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("ansible's way: %w: %s", err, complaint.Bytes())
	}
	seconds, err := time.ParseDuration(strings.TrimSpace(string(out)) + "s")
	return rate(len(content), seconds), err
}

const legacy = "openssl_conf = a\n[a]\nproviders = b\n[b]\ndefault = c\nlegacy = c\n[c]\nactivate = 1\n"

// echo appends pieces of base64 by one short command each, as winrmcp does.
// It is measured over echoPieces of them: the whole takes minutes.
func echo(ctx context.Context, cfg winrm.Config, content []byte) (float64, error) {
	c, err := winrm.Dial(ctx, cfg)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	began := time.Now()
	for i := range echoPieces {
		text := base64.StdEncoding.EncodeToString(content[i*echoPiece : (i+1)*echoPiece])
		res, err := c.Run(ctx, "echo "+text+` >> C:\echo.b64`, nil)
		if err != nil || res.Exit != 0 {
			return 0, fmt.Errorf("echo: exit code %d, %w", res.Exit, err)
		}
	}
	return rate(echoPieces*echoPiece, time.Since(began)), nil
}

const (
	echoPiece  = 5_900 // with base64 and command just below 8,000 characters
	echoPieces = 30
)

func rate(size int, d time.Duration) float64 { return float64(size) / d.Seconds() }

// placePeer puts the peers' program on a host.
func placePeer(ctx context.Context, prefix string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-ldflags=-s -w", "-o", filepath.Join(prefix, "drive_c", "shipper-peer.exe"),
		"github.com/go-shipper/shipper/lab/bench/push/peer")
	cmd.Env = append(os.Environ(), "GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build peer: %w: %s", err, out)
	}
	return nil
}
