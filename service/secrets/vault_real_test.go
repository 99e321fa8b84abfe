//go:build linux

package secrets

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// server is Vault itself, from build/vault; `make test-integration` builds it.
type server struct {
	t     *testing.T
	url   string
	token string
	stop  func()
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func startVault(t *testing.T) *server {
	t.Helper()
	exe := os.Getenv("SHIPPER_VAULT")
	if exe == "" {
		t.Skip("needs a Vault: make test-integration builds one and runs this")
	}
	address := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	cmd := exec.CommandContext(t.Context(), exe, address)
	said := new(bytes.Buffer)
	cmd.Stderr = said
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, url: "http://" + address}
	s.stop = sync.OnceFunc(func() { in.Close(); cmd.Wait() })
	t.Cleanup(s.stop)
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatalf("Vault does not start: %s", said)
	}
	s.token = lines.Text()
	return s
}

// write sets something up, as an operator of Vault would; it gives the answer's data.
func (s *server) write(method, path string, body any) map[string]any {
	s.t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		s.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+"/v1/"+path, bytes.NewReader(b))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("X-Vault-Token", s.token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode/100 != 2 {
		s.t.Fatalf("%s %s: %s %s, %v", method, path, resp.Status, text, err)
	}
	var answer struct{ Data map[string]any }
	json.Unmarshal(text, &answer) // some have none
	return answer.Data
}

// appRole lets a service in that may read its own secrets and ask for
// credentials, and nothing else.
func (s *server) appRole(tokenTTL string) *Vault {
	s.t.Helper()
	s.write("POST", "sys/auth/approle", map[string]any{"type": "approle"})
	policy := `path "secret/data/orders/*" { capabilities = ["read"] } path "database/creds/orders" { capabilities = ["read"] }
		path "sys/leases/revoke" { capabilities = ["update"] }`
	s.write("PUT", "sys/policies/acl/orders", map[string]any{"policy": policy})
	s.write("POST", "auth/approle/role/orders", map[string]any{"token_policies": "orders", "token_ttl": tokenTTL, "token_max_ttl": tokenTTL})
	role := s.write("GET", "auth/approle/role/orders/role-id", nil)["role_id"].(string)
	secret := s.write("POST", "auth/approle/role/orders/secret-id", map[string]any{})["secret_id"].(string)
	v, err := NewVault(VaultOptions{Address: s.url, AppRole: AppRole{RoleID: role, SecretID: New(secret)}})
	if err != nil {
		s.t.Fatal(err)
	}
	return v
}

// Secrets of a key-value store, read by a service that logs in by AppRole,
// once more when its token ended.
func TestKeyValuesOfARealVault(t *testing.T) {
	s := startVault(t)
	s.write("POST", "sys/mounts/secret", map[string]any{"type": "kv", "options": map[string]string{"version": "2"}})
	v := s.appRole("1s")
	for n, password := range []string{"hunter2", "hunter3"} {
		s.write("POST", "secret/data/orders/db", map[string]any{"data": map[string]any{"password": password, "port": 5432}})
		got, err := Resolver{Vault: v}.Get(t.Context(), "vault:secret/orders/db#password")
		if err != nil || got.Reveal() != password {
			t.Errorf("version %d: %v, %v", n+1, got.Reveal(), err)
		}
	}
	if got, err := v.Read(t.Context(), "secret/orders/db"); err != nil || got["port"].Reveal() != "5432" {
		t.Errorf("%v, %v", got, err)
	}
	old := v.token
	s.write("POST", "auth/token/revoke", map[string]any{"token": old.Reveal()})
	if _, err := v.Read(t.Context(), "secret/orders/db"); err != nil || v.token == old {
		t.Errorf("with a token that ended: %v", err)
	}
	if _, err := v.Read(t.Context(), "secret/orders/none"); !errors.Is(err, ErrMissing) {
		t.Errorf("a secret that is none: %v", err)
	}
	s.write("DELETE", "secret/data/orders/db", nil)
	if _, err := v.Read(t.Context(), "secret/orders/db"); !errors.Is(err, ErrMissing) {
		t.Errorf("a deleted one: %v", err)
	}
	var refused *VaultError
	if _, err := v.Read(t.Context(), "secret/billing/db"); !errors.As(err, &refused) || refused.Status != 403 {
		t.Errorf("another's secret: %v", err)
	}
	s.write("PUT", "sys/seal", nil)
	if _, err := v.Read(t.Context(), "secret/orders/db"); !errors.As(err, &refused) || refused.Status != 503 || !strings.Contains(err.Error(), "sealed") {
		t.Errorf("sealed: %v", err)
	}
}

// postgres is a database of its own in a folder, for as long as the test.
type postgres struct {
	t    *testing.T
	bin  string
	port int
}

const rootPassword = "root of the test"

func startPostgres(t *testing.T) *postgres {
	t.Helper()
	bins, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil || len(bins) == 0 {
		t.Fatal("there is no PostgreSQL: run make test-integration")
	}
	p := &postgres{t: t, bin: filepath.Dir(bins[len(bins)-1]), port: freePort(t)}
	dir, err := os.MkdirTemp("", "postgres")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	data, password := filepath.Join(dir, "data"), filepath.Join(dir, "password")
	if err := os.WriteFile(password, []byte(rootPassword+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	account := p.account(dir, password)
	p.run(account, "initdb", "-D", data, "-U", "root", "--auth=scram-sha-256", "--pwfile="+password, "--no-sync")
	cmd := exec.Command(filepath.Join(p.bin, "postgres"), "-D", data, "-p", strconv.Itoa(p.port), "-k", dir, "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off")
	cmd.SysProcAttr = account
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Signal(syscall.SIGQUIT); cmd.Wait() })
	p.await("answer", func() bool { return p.login("root", rootPassword) == nil })
	return p
}

// account is the one that Debian's package made: the server refuses to be root.
func (p *postgres) account(own ...string) *syscall.SysProcAttr {
	p.t.Helper()
	if os.Getuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		p.t.Fatal(err)
	}
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	err = errors.Join(err1, err2)
	for _, path := range own {
		err = errors.Join(err, os.Chown(path, uid, gid))
	}
	if err != nil {
		p.t.Fatal(err)
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
}

func (p *postgres) run(account *syscall.SysProcAttr, program string, args ...string) {
	p.t.Helper()
	cmd := exec.CommandContext(p.t.Context(), filepath.Join(p.bin, program), args...)
	cmd.SysProcAttr, cmd.Dir = account, "/"
	if out, err := cmd.CombinedOutput(); err != nil {
		p.t.Fatalf("%s: %v\n%s", program, err, out)
	}
}

// login runs a query as somebody.
func (p *postgres) login(name, password string) error {
	cmd := exec.Command("psql", "-h", "127.0.0.1", "-p", strconv.Itoa(p.port), "-U", name, "-d", "postgres", "-Atc", "select current_user")
	cmd.Env = append(os.Environ(), "PGPASSWORD="+password, "PGCONNECT_TIMEOUT=10")
	out, err := cmd.CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != name {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

func (p *postgres) await(what string, reached func() bool) {
	p.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for until := time.Now().Add(time.Minute); !reached(); <-tick.C {
		if time.Now().After(until) {
			p.t.Fatalf("no %s within a minute", what)
		}
	}
}

// database lets Vault make accounts in the database: for ttl, and by renewal
// for longest.
func (s *server) database(p *postgres, ttl, longest string) {
	s.t.Helper()
	s.write("POST", "sys/mounts/database", map[string]any{"type": "database"})
	s.write("POST", "database/config/main", map[string]any{"plugin_name": "postgresql-database-plugin", "allowed_roles": "orders",
		"connection_url": fmt.Sprintf("postgresql://{{username}}:{{password}}@127.0.0.1:%d/postgres?sslmode=disable", p.port), "username": "root", "password": rootPassword})
	s.write("POST", "database/roles/orders", map[string]any{"db_name": "main", "default_ttl": ttl, "max_ttl": longest,
		"creation_statements": `CREATE ROLE "{{name}}" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'`})
}

// Credentials of a real database: they open it, are renewed beyond their first
// time, are replaced while they are still good when Vault renews no longer,
// and open nothing any more once the service has stopped.
func TestDatabaseCredentialsOfARealVault(t *testing.T) {
	s, p := startVault(t), startPostgres(t)
	s.database(p, "20s", "46s")
	l, err := s.appRole("1h").Lease(t.Context(), "database/creds/orders", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	begun, changes := time.Now(), make(chan Credentials, 100)
	l.OnChange(func(c Credentials) { changes <- c })
	first := <-changes
	if err := p.login(first.Username, first.Password.Reveal()); err != nil {
		t.Errorf("the first ones: %v", err)
	}
	if err := l.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	second := <-changes
	if time.Since(begun) < 20*time.Second {
		t.Errorf("replaced after %s, instead of renewed", time.Since(begun))
	}
	for name, c := range map[string]Credentials{"old": first, "new": second} {
		if err := p.login(c.Username, c.Password.Reveal()); err != nil {
			t.Errorf("the %s ones, at the change: %v", name, err)
		}
	}
	if err := l.Check(t.Context()); err != nil || second.Username == first.Username {
		t.Errorf("%v; %s after %s", err, second.Username, first.Username)
	}
	if err := l.Stop(context.Background()); err != nil {
		t.Error(err)
	}
	p.await("end of the credentials", func() bool {
		now := l.Credentials()
		return p.login(now.Username, now.Password.Reveal()) != nil && p.login(first.Username, first.Password.Reveal()) != nil
	})
}
