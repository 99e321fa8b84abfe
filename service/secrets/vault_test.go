package secrets

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// exchange is Vault as its API documentation has it: answers by method and
// path, each as often as it is listed, the last for ever.
type exchange struct {
	mu      sync.Mutex
	answers map[string][]string // "STATUS BODY"
	asked   []string            // "METHOD PATH TOKEN BODY"
}

func (e *exchange) RoundTrip(r *http.Request) (*http.Response, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	e.asked = append(e.asked, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", r.Method, r.URL.Path, r.Header.Get("X-Vault-Token"), body)))
	name := r.Method + " " + r.URL.Path
	all := e.answers[name]
	if len(all) == 0 {
		return nil, errors.New("nobody answers " + name)
	}
	if len(all) > 1 {
		e.answers[name] = all[1:]
	}
	if all[0] == "" {
		return nil, errors.New("connection refused")
	}
	var status int
	_, text, _ := strings.Cut(all[0], " ")
	fmt.Sscan(all[0], &status)
	return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader(text)), Header: http.Header{}}, nil
}

func (e *exchange) log() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return strings.Join(e.asked, "\n")
}

func vault(t *testing.T, o VaultOptions, answers map[string][]string) (*Vault, *exchange) {
	t.Helper()
	e := &exchange{answers: answers}
	o.Address, o.Client = "https://vault.example:8200", &http.Client{Transport: e}
	v, err := NewVault(o)
	if err != nil {
		t.Fatal(err)
	}
	return v, e
}

const kv = `200 {"request_id":"x","lease_id":"","renewable":false,"lease_duration":0,"data":{"data":{"password":"hunter2","port":5432},
	"metadata":{"version":3,"destroyed":false}},"wrap_info":null,"warnings":null,"auth":null}`

func TestKeyValues(t *testing.T) {
	v, e := vault(t, VaultOptions{Token: New("s.root"), Namespace: "team"}, map[string][]string{
		"GET /v1/secret/data/orders/db": {kv},
		"GET /v1/secret/data/deleted":   {`404 {"data":{"data":null,"metadata":{"deletion_time":"2026-11-24"}}}`},
		"GET /v1/secret/data/denied":    {`403 {"errors":["1 error occurred:\n\t* permission denied\n\n"]}`},
		"GET /v1/secret/data/sealed":    {`503 {"errors":["Vault is sealed"]}`},
		"GET /v1/secret/data/proxy":     {`200 <html>hunter2</html>`},
	})
	r := Resolver{Vault: v}
	for reference, want := range map[string]string{"vault:secret/orders/db#password": "hunter2", "vault:secret/orders/db#port": "5432", "vault:secret/orders/db#x": "",
		"vault:secret/deleted#x": "", "vault:secret/denied#x": "", "vault:secret/sealed#x": "", "vault:secret/proxy#x": "", "vault:secret#x": ""} {
		got, err := r.Get(t.Context(), reference)
		if got.Reveal() != want || (err == nil) != (want != "") || err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", reference, err)
		}
		if missing := strings.HasSuffix(reference, "db#x") || strings.Contains(reference, "deleted"); errors.Is(err, ErrMissing) != missing {
			t.Errorf("%s: %v", reference, err)
		}
	}
	var refused *VaultError
	if _, err := v.Read(t.Context(), "secret/sealed"); !errors.As(err, &refused) || refused.Status != 503 || !strings.Contains(err.Error(), "Vault is sealed") {
		t.Errorf("%v", err)
	}
	if !strings.Contains(e.log(), "GET /v1/secret/data/orders/db s.root") {
		t.Errorf("asked\n%s", e.log())
	}
}

// A token that ended is replaced by logging in again, once per request.
func TestAppRole(t *testing.T) {
	v, e := vault(t, VaultOptions{AppRole: AppRole{RoleID: "r", SecretID: New("s")}}, map[string][]string{
		"POST /v1/auth/approle/login": {`200 {"auth":{"client_token":"t1","lease_duration":3600}}`, `200 {"auth":{"client_token":"t2"}}`, `400 {"errors":["invalid secret id"]}`},
		"GET /v1/secret/data/x":       {kv, `403 {"errors":["permission denied"]}`, kv, `403 {"errors":["permission denied"]}`},
	})
	for i, good := range []bool{true, true, false} {
		if _, err := v.Read(t.Context(), "secret/x"); (err == nil) != good {
			t.Errorf("read %d: %v", i, err)
		}
	}
	want := `POST /v1/auth/approle/login  {"role_id":"r","secret_id":"s"}
GET /v1/secret/data/x t1
GET /v1/secret/data/x t1
POST /v1/auth/approle/login  {"role_id":"r","secret_id":"s"}
GET /v1/secret/data/x t2
GET /v1/secret/data/x t2
POST /v1/auth/approle/login  {"role_id":"r","secret_id":"s"}`
	if e.log() != want {
		t.Errorf("asked\n%s", e.log())
	}
}

func TestVaultOptionsAreSafe(t *testing.T) {
	for name, o := range map[string]VaultOptions{"plain": {Address: "http://vault.example", Token: New("x")}, "nobody": {Address: "https://vault.example"},
		"half": {Address: "https://vault.example", AppRole: AppRole{RoleID: "r"}}, "no URL": {Address: ":", Token: New("x")}} {
		if _, err := NewVault(o); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func creds(n int, seconds int) string {
	return fmt.Sprintf(`200 {"lease_id":"database/creds/orders/%d","renewable":true,"lease_duration":%d,"data":{"username":"v-%d","password":"p-%d"}}`, n, seconds, n, n)
}

func renewed(seconds int) string {
	return fmt.Sprintf(`200 {"lease_id":"x","renewable":true,"lease_duration":%d,"data":null}`, seconds)
}

// A lease is renewed after two thirds of its time; near its end, or when Vault
// does not know it any more, there are new credentials; an outage in between
// is lived through.
func TestLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, e := vault(t, VaultOptions{Token: New("t")}, map[string][]string{
			"GET /v1/database/creds/orders": {creds(1, 3600), creds(2, 3600), creds(3, 3600)},
			"PUT /v1/sys/leases/renew":      {renewed(3600), "", "", renewed(3600), renewed(600), `400 {"errors":["lease not found"]}`, renewed(3600)},
			"PUT /v1/sys/leases/revoke":     {"204 "},
		})
		l, err := v.Lease(t.Context(), "/database/creds/orders", slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		changes := make(chan string, 10)
		l.OnChange(func(c Credentials) {
			changes <- fmt.Sprintf("%s %s %v", c.Username, c.Password.Reveal(), time.Since(begun).Round(time.Minute))
		})
		l.Start(t.Context())
		time.Sleep(80*time.Minute + 500*time.Millisecond) // in the outage
		synctest.Wait()
		if err := l.Check(t.Context()); err == nil || strings.Contains(err.Error(), "p-1") {
			t.Errorf("health in the outage: %v", err)
		}
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		if err := l.Check(t.Context()); err != nil {
			t.Errorf("health: %v", err)
		}
		for _, want := range []string{"v-1 p-1 0s", "v-2 p-2 2h40m0s", "v-3 p-3 3h20m0s"} {
			select {
			case got := <-changes:
				if !strings.HasPrefix(got, want[:7]) {
					t.Errorf("%s, want %s", got, want)
				}
			default:
				t.Errorf("no %s", want)
			}
		}
		if c := l.Credentials(); c.Username != "v-3" || time.Until(c.Expires) <= 0 {
			t.Errorf("%+v", c)
		}
		if err := l.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		if last := e.log(); !strings.HasSuffix(last, `PUT /v1/sys/leases/revoke t {"lease_id":"database/creds/orders/3"}`) {
			t.Errorf("asked\n%s", last)
		}
	})
}

func TestLeaseThatIsNone(t *testing.T) {
	for _, answer := range []string{kv, `200 {}`, `404 {"errors":[]}`, `200 {"lease_duration":5,"data":{"username":7}}`, ""} {
		v, _ := vault(t, VaultOptions{Token: New("t")}, map[string][]string{"GET /v1/database/creds/x": {answer}})
		if _, err := v.Lease(t.Context(), "database/creds/x", nil); err == nil {
			t.Errorf("%s was taken", answer)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add(200, kv[4:])
	f.Add(403, `{"errors":["permission denied"]}`)
	f.Fuzz(func(t *testing.T, status int, body string) {
		var answer response
		resp := &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader(body))}
		if err := decodeAnswer(resp, &answer); err == nil && status/100 == 2 && body != "" && !json.Valid([]byte(body)) {
			t.Errorf("%d %q was taken", status, body)
		}
	})
}
