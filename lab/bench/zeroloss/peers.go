package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/go-shipper/shipper/release"
)

// peer is a proxy whose configuration names one of two slots.
type peer struct {
	name, program string
	config        func(p *peer, to string) string
	file          string
	reload        func(ctx context.Context, p *peer) error
	args          func(p *peer) []string

	dir, public string
	cmd         *exec.Cmd
}

func peers() []*peer {
	return []*peer{
		{
			name: "nginx", program: "nginx", file: "nginx.conf", config: nginxConfig,
			args:   func(p *peer) []string { return []string{"-p", p.dir, "-e", "stderr", "-c", p.path()} },
			reload: func(_ context.Context, p *peer) error { return p.cmd.Process.Signal(syscall.SIGHUP) },
		},
		{
			name: "caddy", program: "caddy", file: "Caddyfile", config: caddyConfig,
			args: func(p *peer) []string { return []string{"run", "--adapter", "caddyfile", "--config", p.path()} },
			reload: func(ctx context.Context, p *peer) error {
				cmd := exec.CommandContext(ctx, "caddy", "reload", "--adapter", "caddyfile", "--config", p.path(), "--address", "unix/"+p.dir+"/admin")
				cmd.Env = p.env()
				out, err := cmd.CombinedOutput()
				if err != nil {
					return fmt.Errorf("%w: %s", err, out)
				}
				return nil
			},
		},
	}
}

func nginxConfig(p *peer, to string) string {
	user := ""
	if os.Getuid() == 0 {
		user = "user root;\n" // its workers shall reach the folder
	}
	return fmt.Sprintf(`%sworker_processes 2;
daemon off;
pid %s/nginx.pid;
error_log /dev/null;
worker_shutdown_timeout 30s;
events { worker_connections 4096; }
http {
  access_log off;
  client_body_temp_path %[2]s/body;
  proxy_temp_path %[2]s/proxy;
  fastcgi_temp_path %[2]s/fastcgi;
  uwsgi_temp_path %[2]s/uwsgi;
  scgi_temp_path %[2]s/scgi;
  map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
  upstream slots { server %s; keepalive 64; }
  server {
    listen %s;
    location / {
      proxy_pass http://slots;
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      proxy_max_temp_file_size 0;
    }
  }
}
`, user, p.dir, to, p.public)
}

func caddyConfig(p *peer, to string) string {
	return fmt.Sprintf(`{
  admin unix/%s/admin
  auto_https off
  grace_period 30s
}
http://%s {
  reverse_proxy %s
}
`, p.dir, p.public, to)
}

func (p *peer) path() string { return filepath.Join(p.dir, p.file) }

func (p *peer) env() []string {
	return append(os.Environ(), "HOME="+p.dir, "XDG_DATA_HOME="+p.dir, "XDG_CONFIG_HOME="+p.dir)
}

// runPeers measures those that are installed.
func runPeers(ctx context.Context, dir string, o options) ([]outcome, error) {
	var all []outcome
	for _, p := range peers() {
		if _, err := exec.LookPath(p.program); err != nil {
			fmt.Fprintln(os.Stderr, p.name, "is not installed and was not measured")
			continue
		}
		out, err := p.run(ctx, filepath.Join(dir, p.name), o)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
		all = append(all, out)
	}
	return all, nil
}

// run switches between two slots by changing the configuration.
func (p *peer) run(ctx context.Context, dir string, o options) (outcome, error) {
	out := outcome{name: p.name + " reload"}
	p.dir = dir
	var err error
	if p.public, err = freeAddr(); err != nil {
		return out, err
	}
	slots := map[release.Slot]*running{}
	for _, slot := range release.Slots() {
		addr, err := freeAddr()
		if err != nil {
			return out, err
		}
		if slots[slot], err = startInstance(string(slot), addr, o.download); err != nil {
			return out, err
		}
		defer slots[slot].kill()
	}
	if err := p.start(ctx, slots[release.Blue].addr); err != nil {
		return out, err
	}
	defer p.stop()
	g, stop := startLoad(ctx, p.public, o)
	defer stop()
	began, now := time.Now(), release.Blue
	for round := range o.rounds {
		now = now.Other()
		if err := errors.Join(p.change(ctx, slots[now].addr), more(ctx, g)); err != nil {
			return out, fmt.Errorf("round %d: %w", round+1, err)
		}
		out.switches++
		progress(p.name, round+1, o.rounds)
	}
	out.took = time.Since(began)
	stop()
	out.report = *g.Wait()
	return out, nil
}

func (p *peer) start(ctx context.Context, to string) error {
	if err := os.MkdirAll(p.dir, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(p.path(), []byte(p.config(p, to)), 0o600); err != nil {
		return err
	}
	p.cmd = exec.Command(p.program, p.args(p)...)
	p.cmd.Env = p.env()
	if err := p.cmd.Start(); err != nil {
		return err
	}
	return reachable(ctx, p.public)
}

func (p *peer) change(ctx context.Context, to string) error {
	if err := os.WriteFile(p.path(), []byte(p.config(p, to)), 0o600); err != nil {
		return err
	}
	return p.reload(ctx, p)
}

func (p *peer) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	_ = p.cmd.Wait()
}

// reachable waits until the proxy takes connections.
func reachable(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			return c.Close()
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}
