//go:build linux

package service

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// driver runs under the booted systemd as a unit of its own, and tells what
// it saw. A request is made by the shell, as there is no other client.
const driver = `#!/bin/bash
exec >/kit/told 2>&1
kit() { /kit/service.test -service-test-child serve KIT_NAME=kit SHIPPER_LISTEN=127.0.0.1:18080 "$@"; echo "exit $?"; }
get() { exec 5<>/dev/tcp/127.0.0.1/18080 && printf 'GET %s HTTP/1.0\r\n\r\n' "$1" >&5 && tail -n 1 <&5 | tr -d '\r'; echo; exec 5>&-; }
show() { systemctl show --value --property="$1" kit.service; }
await() { for i in $(seq 600); do [ "$(show "$1")" = "$2" ] && return; sleep 0.1; done; echo "no $1=$2"; systemctl status kit.service; }
echo "== install"; kit install; systemctl is-enabled kit.service; kit status
echo "== start"; kit start; kit status; show ActiveState; show NotifyAccess; show StatusText; get /
echo "== account"; stat -c %u "/proc/$(show MainPID)"; stat -c %a /var/lib/private/kit
echo "== reload"; systemctl reload kit.service; show StatusText
echo "== killed"; kill -9 "$(show MainPID)"; await NRestarts 1; await ActiveState active; get /
echo "== dead to the watchdog"; get /dead; await NRestarts 2; await ActiveState active; get /
echo "== restart"; kit restart; kit status
echo "== stop"; kit stop; kit status; show Result
echo "== socket"; kit KIT_SOCKET=127.0.0.1:18080 install; systemctl is-enabled kit.socket; systemctl start kit.socket; show ActiveState; get /; await ActiveState active
echo "== uninstall"; kit uninstall; kit status; ls /etc/systemd/system/kit.*
echo "== end of the kit"
log=/var/log/orders/orders.log
orders() { /kit/orders "$@"; echo "exit $?"; }
# once waits until the log matches more than $2 times.
once() { for i in $(seq 600); do [ "$(grep -c "$1" "$log" 2>/dev/null || true)" -gt "$2" ] && return; sleep 0.1; done; echo "no $1 in the log"; tail "$log"; }
seen() { grep -c "$1" "$log" 2>/dev/null || true; }
request() { exec 5<>/dev/tcp/127.0.0.1/18081 && printf 'GET %s HTTP/1.0\r\n\r\n' "$1" >&5 && tail -n 1 <&5; exec 5>&-; }
restarts() { for i in $(seq 600); do [ "$(systemctl show --value --property=NRestarts orders.service)" -ge "$1" ] && return; sleep 0.1; done; echo "no $1 restarts"; }
settled() { for i in $(seq 600); do [ "$(systemctl is-active orders.service)" = active ] && return; sleep 0.1; done; echo "does not become active"; }
echo "== orders"; systemctl set-environment ORDERS_CRASH_AFTER=1
orders install -listen 127.0.0.1:18081 -sync 50ms -log "$log"; orders start
for n in 1 2 3 4; do
  once '"msg":"serving"' $((n - 1)); looks=$(seen looks); once looks $looks
  [ $n = 4 ] && { systemctl unset-environment ORDERS_CRASH_AFTER; systemctl set-environment ORDERS_HANG_SYNC=20ms; }
  request /orders >/dev/null 2>&1; restarts $n
done
systemctl unset-environment ORDERS_HANG_SYNC
once 'maintenance mode: work failed' 0; settled; orders status
echo "== crash reports: $(ls /var/log/orders/crashes/crash-*.txt | wc -l), hangs: $(seen '"event_id":6')"
echo "== looks begun again: $(grep -c '"looks":1,' "$log")"
echo "== ready: $(request /readyz | grep -o 'maintenance mode' | head -n 1)"
orders uninstall
echo "== end"
systemctl poweroff --force
`

const driverUnit = `[Unit]
Description=drives the test
After=basic.target
[Service]
ExecStart=/kit/driver
`

// The verbs and the unit under a real systemd, and crash recovery in the
// example, whose crashed and hung processes systemd starts again, booted in a container from a
// Debian root that `make test-integration` makes.
func TestUnderABootedSystemd(t *testing.T) {
	root := os.Getenv("SHIPPER_SYSTEMD_ROOT")
	if root == "" {
		t.Skip("needs a Debian root with systemd: make test-integration makes one and runs this")
	}
	told := bootWithDriver(t, root)
	for _, want := range []string{
		`== install\nexit 0\nenabled\ninactive \(dead\)\nexit 0`,
		`== start\nexit 0\nactive \(running\), process \d+\nexit 0\nactive\nmain\nRUNNING: ready\nsystemd stable`,
		`== account\n6\d{4}\n750`, /* a dynamic user */
		`== reload\nreloaded`,
		`== killed\nsystemd stable`,
		`== dead to the watchdog\n+systemd stable`,
		`== restart\nexit 0\nactive \(running\), process \d+\nexit 0`,
		`== stop\nexit 0\ninactive \(dead\)\nexit 0\nsuccess`,
		`== socket\nexit 0\nenabled\ninactive\nsystemd stable`,
		`== uninstall\nexit 0\nerror: status kit: not installed\nexit 1\nls: cannot access`,
		`== orders\nexit 0\nexit 0\nactive \(running\), process \d+\nexit 0\n`,
		`== crash reports: 4, hangs: [1-9]`,
		`== looks begun again: 1\n`,
		`== ready: maintenance mode\n`,
		`== end`,
	} {
		if !regexp.MustCompile(want).MatchString(told) {
			t.Errorf("no %s", want)
		}
	}
	if t.Failed() {
		t.Log(told)
	}
}

// bootWithDriver boots the root, changes to it kept in memory, and gives what
// the driver told until it powered off.
func bootWithDriver(t *testing.T, root string) string {
	t.Helper()
	dir := t.TempDir()
	exe, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"service.test": string(exe), "driver": driver, "driver.service": driverUnit} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for path := dir; path != os.TempDir() && len(path) > 1; path = filepath.Dir(path) {
		if err := os.Chmod(path, 0o755); err != nil { // the service's own account reads its program there
			t.Fatal(err)
		}
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(dir, "orders"), "../examples/orders")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build orders: %v\n%s", err, out)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	machine := fmt.Sprintf("shipper-kit-%d", os.Getpid())
	boot := exec.CommandContext(ctx, "systemd-nspawn", "--quiet", "--directory="+root, "--machine="+machine, "--volatile=overlay",
		"--private-network", "--register=no", "--keep-unit", "--console=pipe", "--bind="+dir+":/kit",
		"--bind-ro="+filepath.Join(dir, "driver.service")+":/etc/systemd/system/driver.service", "--boot", "systemd.wants=driver.service")
	boot.Cancel = func() error { return boot.Process.Signal(os.Interrupt) }
	out, err := boot.CombinedOutput()
	told, errTold := os.ReadFile(filepath.Join(dir, "told"))
	if errTold != nil || !strings.Contains(string(told), "== end") {
		t.Fatalf("systemd did not come to an end: %v, %v\n%s\n%s", err, errTold, told, out)
	}
	return string(told)
}
