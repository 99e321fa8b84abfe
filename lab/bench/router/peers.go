package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// The peers are set up as their manuals tell for this job: two workers,
// connections kept on both sides, the forwarded headers that ours sets, no
// buffering to disk.

func startHAProxy(_ context.Context, s setup) (*exec.Cmd, error) {
	logging := ""
	if s.log != "" {
		logging = "  log stdout format raw local0\n  option httplog\n"
	}
	config := fmt.Sprintf(`global
  nbthread %d
  maxconn 4096
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  timeout tunnel 1h
  http-reuse always
frontend public
  bind %s
%s  option forwardfor
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Host %%[req.hdr(Host)]
  default_backend slots
backend slots
  balance roundrobin
  server blue %s
  server green %s
`, cores, s.addr, logging, s.back.addr(0), s.back.addr(1))
	path, err := write(s.dir, "haproxy.cfg", config)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command("haproxy", "-db", "-f", path)
	if s.log == "" {
		return cmd, nil
	}
	cmd.Stdout, err = os.Create(s.log)
	return cmd, err
}

func startNginx(_ context.Context, s setup) (*exec.Cmd, error) {
	user, logging := "", "off"
	if os.Getuid() == 0 {
		user = "user root;\n" // its workers shall reach the folder
	}
	if s.log != "" {
		logging = s.log
	}
	config := fmt.Sprintf(`%[1]sworker_processes %[2]d;
daemon off;
pid %[3]s/nginx.pid;
error_log stderr warn;
events { worker_connections 4096; }
http {
  access_log %[4]s;
  client_body_temp_path %[3]s/body;
  proxy_temp_path %[3]s/proxy;
  fastcgi_temp_path %[3]s/fastcgi;
  uwsgi_temp_path %[3]s/uwsgi;
  scgi_temp_path %[3]s/scgi;
  keepalive_requests 1000000000;
  tcp_nodelay on;
  map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
  upstream slots {
    server %[6]s;
    server %[7]s;
    keepalive 256;
    keepalive_requests 1000000000;
  }
  server {
    listen %[5]s;
    location / {
      proxy_pass http://slots;
      proxy_http_version 1.1;
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Host $host;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      proxy_buffer_size 16k;
      proxy_buffers 16 16k;
      proxy_busy_buffers_size 32k;
      proxy_max_temp_file_size 0;
    }
  }
}
`, user, cores, s.dir, logging, s.addr, s.back.addr(0), s.back.addr(1))
	path, err := write(s.dir, "nginx.conf", config)
	return exec.Command("nginx", "-p", s.dir, "-e", "stderr", "-c", path), err
}

func startCaddy(_ context.Context, s setup) (*exec.Cmd, error) {
	logging := ""
	if s.log != "" {
		logging = "  log {\n    output file " + s.log + "\n  }\n"
	}
	_, port, err := splitPort(s.addr)
	if err != nil {
		return nil, err
	}
	config := fmt.Sprintf(`{
  admin off
  auto_https off
}
http://:%d {
  bind 127.0.0.1
%s  reverse_proxy %s %s {
    lb_policy round_robin
    transport http {
      keepalive_idle_conns_per_host 256
      compression off
    }
  }
}
`, port, logging, s.back.addr(0), s.back.addr(1))
	path, err := write(s.dir, "Caddyfile", config)
	cmd := exec.Command("caddy", "run", "--adapter", "caddyfile", "--config", path)
	cmd.Env = append(os.Environ(), "HOME="+s.dir, "XDG_DATA_HOME="+s.dir, "XDG_CONFIG_HOME="+s.dir, "GOMAXPROCS="+strconv.Itoa(cores))
	return cmd, err
}

func write(dir, name, text string) (string, error) {
	path := filepath.Join(dir, name)
	return path, os.WriteFile(path, []byte(text), 0o600)
}
