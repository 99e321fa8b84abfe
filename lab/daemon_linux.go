package lab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/go-shipper/shipper/lab/wsman"
)

// The ports of WinRM.
const (
	portHTTP  = 5985
	portHTTPS = 5986
)

// daemonEnv marks a daemon's environment: an executable that does not know the
// daemon's verb would otherwise start labs without end.
const daemonEnv = "SHIPPER_LAB_DAEMON"

// Serve turns this process into a host's daemon if its arguments ask for one,
// and then never returns. A test binary that starts labs calls it first thing
// in TestMain.
func Serve() {
	if len(os.Args) != 4 || os.Args[1] != "lab" || os.Args[2] != "daemon" {
		return
	}
	if err := Daemon(context.Background(), os.Args[3]); err != nil {
		os.Exit(1) // the daemon's log and its starter know why
	}
	os.Exit(0)
}

// hostState is host.json: what a daemon needs to know.
type hostState struct {
	Host     Host
	Isolated bool
}

// daemon is one host: its prefix, its endpoint, its power.
type daemon struct {
	dir    string
	state  hostState
	wine   wine
	runner *runner
	log    *log.Logger

	reboots sync.Mutex // held from off to on
	power   sync.Mutex // held while the host is switched on or off
	server  *wsman.Server
}

// Daemon runs a host until ctx ends. It waits for a line on stdin,
// when its network is ready, and answers on stdout with "ready" or why not.
//
// For the folder of a lab it waits for the end of stdin, and then ends the lab.
func Daemon(ctx context.Context, dir string) error {
	if _, err := os.Stat(filepath.Join(dir, "lab.json")); err == nil {
		return watch(ctx, dir, os.Stdin)
	}
	d, err := newDaemon(dir)
	if err != nil {
		fmt.Println(err)
		return err
	}
	if line, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil || line != "go\n" {
		return errors.New("the starter is gone")
	}
	defer d.switchOff(context.WithoutCancel(ctx))
	if err := d.begin(ctx); err != nil {
		d.log.Print(err)
		fmt.Println(err)
		return err
	}
	fmt.Println("ready")
	os.Stdout.Close()
	<-ctx.Done()
	return nil
}

func newDaemon(dir string) (*daemon, error) {
	d := &daemon{dir: dir}
	if err := readJSON(filepath.Join(dir, "host.json"), &d.state); err != nil {
		return nil, fmt.Errorf("read host: %w", err)
	}
	file, err := os.OpenFile(filepath.Join(dir, "daemon.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	d.log = log.New(file, "", log.LstdFlags|log.Lmicroseconds)
	if err := writeFile(filepath.Join(dir, "daemon.pid"), []byte(strconv.Itoa(os.Getpid())), 0o600); err != nil {
		return nil, fmt.Errorf("write pid: %w", err)
	}
	d.wine, err = findWine(dir)
	return d, err
}

// begin is the first boot.
func (d *daemon) begin(ctx context.Context) error {
	if d.state.Isolated {
		if err := d.setNames(); err != nil {
			return err
		}
	}
	var err error
	if d.runner, err = newRunner(d.wine, d.log.Printf); err != nil {
		return err
	}
	if err := d.switchOn(ctx); err != nil {
		return err
	}
	return d.listenControl()
}

// setNames gives this namespace its own name, and name service from files
// only: Wine looks its own name up when it boots, and would wait for DNS.
func (d *daemon) setNames() error {
	if err := syscall.Sethostname([]byte(d.state.Host.Name)); err != nil {
		return fmt.Errorf("set host name: %w", err)
	}
	for _, name := range []string{"hosts", "resolv.conf"} {
		if _, err := os.Stat("/etc/" + name); err != nil {
			continue // nothing to cover
		}
		if err := syscall.Mount(filepath.Join(filepath.Dir(d.dir), name), "/etc/"+name, "", syscall.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount /etc/%s: %w", name, err)
		}
	}
	return nil
}

// switchOn boots the prefix, which starts its automatic services, and then
// opens the ports.
func (d *daemon) switchOn(ctx context.Context) error {
	d.power.Lock()
	defer d.power.Unlock()
	ctx, cancel := context.WithTimeoutCause(ctx, 2*time.Minute, errors.New("the host did not boot within 2 minutes"))
	defer cancel()
	d.runner.setPower(true)
	if err := d.wine.keepUp(ctx); err != nil {
		return err
	}
	p, err := d.runner.Start(ctx, wsman.Command{Line: "ver"})
	if err != nil {
		return fmt.Errorf("boot: %w", err)
	}
	_, err = p.Wait()
	p.Kill()
	if err != nil {
		return fmt.Errorf("boot: %w", err)
	}
	return d.openPorts()
}

func (d *daemon) openPorts() error {
	certificate, err := loadCertificate(filepath.Join(d.dir, "host.crt"), filepath.Join(d.dir, "host.key"))
	if err != nil {
		return err
	}
	account, err := domainAccount(filepath.Join(d.dir, keytabName))
	if err != nil {
		return err
	}
	h := d.state.Host
	d.server = wsman.New(wsman.Config{
		Runner: d.runner, Computer: strings.ToUpper(h.Name), Certificate: certificate, Kerberos: account, Logf: d.log.Printf,
		Password: func(user string) (string, bool) { return h.Password, strings.EqualFold(user, h.User) },
	})
	plain, err := net.Listen("tcp", net.JoinHostPort(h.Address, strconv.Itoa(h.HTTPPort)))
	if err != nil {
		return fmt.Errorf("open port: %w", err)
	}
	secure, err := net.Listen("tcp", net.JoinHostPort(h.Address, strconv.Itoa(h.HTTPSPort)))
	if err != nil {
		plain.Close()
		return fmt.Errorf("open port: %w", err)
	}
	go d.serve(func() error { return d.server.Serve(plain) })
	go d.serve(func() error { return d.server.ServeTLS(secure) })
	return nil
}

func (d *daemon) serve(f func() error) {
	if err := f(); err != nil {
		d.log.Printf("serve: %v", err)
	}
}

// switchOff is a power cut.
func (d *daemon) switchOff(ctx context.Context) {
	d.power.Lock()
	defer d.power.Unlock()
	if d.server != nil {
		d.server.Close()
		d.server = nil
	}
	if d.runner != nil {
		d.runner.setPower(false)
	}
	if err := powerCut(ctx, d.wine.prefix()); err != nil {
		d.log.Print(err)
	}
}

// reboot cuts the power and switches on again after downFor.
func (d *daemon) reboot(ctx context.Context, downFor time.Duration) error {
	d.reboots.Lock()
	defer d.reboots.Unlock()
	d.log.Printf("power cut for %v", downFor)
	d.switchOff(ctx)
	if err := sleep(ctx, downFor); err != nil {
		return err
	}
	return d.switchOn(ctx)
}
