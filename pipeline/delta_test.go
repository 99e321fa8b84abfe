package pipeline

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/packaging"
	"github.com/go-shipper/shipper/release"
	"github.com/go-shipper/shipper/transport"
)

// program is bytes that hardly compress, the same for the same seed.
func program(seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, 400_000)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// changed is a program with something inserted.
func changed(b []byte, what string) []byte {
	return append(b[:100_000:100_000], append([]byte(what), b[100_000:]...)...)
}

// pack writes a bundle of these files into the bed's folder.
func pack(t *testing.T, dir, version string, files map[string][]byte) string {
	t.Helper()
	m := packaging.Manifest{Protocol: packaging.Protocol, Name: "orders", Version: version, Builder: "prebuilt", Time: time.Unix(1, 0).UTC()}
	target := packaging.TargetManifest{GOOS: runtime.GOOS, GOARCH: runtime.GOARCH}
	for path, b := range files {
		if strings.HasSuffix(path, "orders") {
			target.Executable = path
		}
		target.Files = append(target.Files, release.File{Path: path, Size: int64(len(b)), SHA256: release.Of(b)})
	}
	m.Targets = []packaging.TargetManifest{target}
	var out bytes.Buffer
	m, err := packaging.WriteBundle(&out, m, func(_ packaging.TargetManifest, f release.File) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(files[f.Path])), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, packaging.FileName("orders", packaging.Release(m)))
	if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// pushes pushes a bundle and returns what each host's push was like.
func (b *bed) pushes(p *Pipeline, bundle string) map[string]journal.Push {
	b.t.Helper()
	b.forget()
	if _, err := p.Push(b.t.Context(), bundle); err != nil {
		b.t.Fatalf("%v\n%s", err, b.story())
	}
	out := map[string]journal.Push{}
	for _, r := range b.all(journal.TypePush) {
		var one journal.Push
		if err := json.Unmarshal(r.Data, &one); err != nil {
			b.t.Fatal(err)
		}
		out[r.Host] = one
	}
	return out
}

func (b *bed) all(kind string) (out []journal.Record) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.records {
		if r.Type == kind {
			out = append(out, r)
		}
	}
	return out
}

// caching is a pipeline that keeps what it pushes in dir.
func (b *bed) caching(dir string) *Pipeline {
	p := b.pipeline()
	p.Cache = dir
	return p
}

func TestOnlyWhatDiffersTravels(t *testing.T) {
	b := newBed(t)
	cache, one, two := t.TempDir(), program(1), changed(program(1), "one more line")
	first := b.pushes(b.caching(cache), pack(t, t.TempDir(), "1.0.0", map[string][]byte{"orders": one, "page": []byte("1")}))["web1"]
	if first.Sent != 2 || first.Deltas != 0 || first.Wire < 400_000 {
		t.Errorf("first push: %+v", first)
	}
	second := b.pushes(b.caching(cache), pack(t, t.TempDir(), "1.1.0", map[string][]byte{"orders": two, "page": []byte("1")}))["web1"]
	if second.Sent != 1 || second.Deltas != 1 || second.Wire > 2000 {
		t.Errorf("push of a small change: %+v\n%s", second, b.story())
	}
	page := b.pushes(b.caching(cache), pack(t, t.TempDir(), "1.2.0", map[string][]byte{"orders": two, "page": []byte("2")}))["web1"]
	if page.Sent != 1 || page.Deltas != 0 || page.Wire > 100 {
		t.Errorf("push of another page: %+v", page)
	}
	moved := b.pushes(b.caching(cache), pack(t, t.TempDir(), "1.3.0", map[string][]byte{"bin/orders": two, "page": []byte("2")}))["web1"]
	if moved.Sent != 0 || moved.Wire != 0 {
		t.Errorf("push of the same files at other paths: %+v", moved)
	}
}

// What is configured belongs to the revision, not to the release.
func TestConfigurationAloneSendsNothing(t *testing.T) {
	b := newBed(t)
	b.steps()
	b.target.Analysis.Signals = nil
	path := b.bundle("1.0.0")
	for i, env := range []string{"a", "b"} {
		b.forget()
		p := b.pipeline()
		p.Target.Service.Env = map[string]string{"NAME": env}
		if res, err := p.Deploy(t.Context(), DeployRequest{Bundle: path}); err != nil {
			t.Fatal(res, err)
		}
		var told journal.Push
		if err := json.Unmarshal(b.all(journal.TypePush)[0].Data, &told); err != nil || (told.Wire == 0) != (i == 1) {
			t.Errorf("deploy %d: %+v, %v", i, told, err)
		}
	}
}

// A runner that has no cache finds the old version in the folder of bundles.
func TestBaseFromTheBundleBeside(t *testing.T) {
	b := newBed(t)
	dir := t.TempDir()
	b.pushes(b.pipeline(), pack(t, dir, "1.0.0", map[string][]byte{"orders": program(2)}))
	next := map[string][]byte{"orders": changed(program(2), "more")}
	if got := b.pushes(b.pipeline(), pack(t, dir, "1.1.0", next))["web1"]; got.Deltas != 1 {
		t.Errorf("with the old bundle: %+v\n%s", got, b.story())
	}
	last := map[string][]byte{"orders": changed(program(2), "and more")}
	if got := b.pushes(b.pipeline(), pack(t, t.TempDir(), "1.2.0", last))["web1"]; got.Deltas != 0 || got.Sent != 1 {
		t.Errorf("without: %+v", got)
	}
}

func TestTheMostSimilarBaseIsTaken(t *testing.T) {
	b := newBed(t)
	cache, dir := t.TempDir(), t.TempDir()
	for i, exe := range [][]byte{program(3), program(4), program(5)} {
		b.pushes(b.caching(cache), pack(t, dir, fmt.Sprintf("1.%d.0", i), map[string][]byte{"orders": exe}))
	}
	got := b.pushes(b.caching(cache), pack(t, dir, "1.3.0", map[string][]byte{"orders": changed(program(4), "back to it")}))["web1"]
	if got.Deltas != 1 || got.Wire > 2000 {
		t.Errorf("%+v\n%s", got, b.story())
	}
}

func TestManyHostsShareOneDelta(t *testing.T) {
	b := newBed(t)
	for i := 2; i <= 12; i++ {
		name := fmt.Sprintf("web%d", i)
		b.machines[name] = newIdleMachine(t, name)
		b.target.Hosts = append(b.target.Hosts, config.Host{Name: name, Address: name})
	}
	cache := t.TempDir()
	b.pushes(b.caching(cache), pack(t, t.TempDir(), "1.0.0", map[string][]byte{"orders": program(6)}))
	bundle := pack(t, t.TempDir(), "1.1.0", map[string][]byte{"orders": changed(program(6), "more")})
	for name, got := range b.pushes(b.caching(cache), bundle) {
		if got.Deltas != 1 || got.Wire > 2000 {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if n := len(b.all(journal.TypeDelta)); n != 1 {
		t.Errorf("%d deltas were made", n)
	}
}

func TestDeltaThatIsOfNoUse(t *testing.T) {
	one, two := program(7), changed(program(7), "more")
	exe := func(b *bed) string {
		found, _ := filepath.Glob(filepath.Join(b.machines["web1"].layout.Programs, "services", "orders", "releases", "*", "orders"))
		if len(found) != 1 {
			t.Fatalf("installed: %v", found)
		}
		return found[0]
	}
	for name, tt := range map[string]struct {
		harm   func(t *testing.T, b *bed, cache string)
		warned bool
	}{
		"base damaged on the host": {func(t *testing.T, b *bed, _ string) {
			if err := os.WriteFile(exe(b), program(8), 0o600); err != nil {
				t.Fatal(err)
			}
		}, false},
		"base gone from the host": {func(t *testing.T, b *bed, _ string) {
			if err := os.Remove(exe(b)); err != nil {
				t.Fatal(err)
			}
		}, false},
		"base damaged in the cache": {func(t *testing.T, _ *bed, cache string) {
			if err := os.WriteFile(filepath.Join(cache, contentName(release.Of(one))), []byte("?"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, false},
		"delta damaged in the cache": {func(t *testing.T, _ *bed, cache string) {
			if err := os.WriteFile(filepath.Join(cache, deltaName(release.Of(one), release.Of(two))), []byte("SHD1?"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t)
			cache := t.TempDir()
			b.pushes(b.caching(cache), pack(t, t.TempDir(), "1.0.0", map[string][]byte{"orders": one}))
			tt.harm(t, b, cache)
			got := b.pushes(b.caching(cache), pack(t, t.TempDir(), "1.1.0", map[string][]byte{"orders": two}))["web1"]
			if got.Deltas != 0 || got.Sent != 1 || got.Wire < 400_000 {
				t.Errorf("%+v", got)
			}
			if warned := strings.Contains(b.story(), "travels whole"); warned != tt.warned {
				t.Errorf("warned: %v\n%s", warned, b.story())
			}
			if _, err := os.Stat(filepath.Join(cache, deltaName(release.Of(one), release.Of(two)))); err == nil {
				t.Error("a delta that was refused is kept")
			}
		})
	}
}

func TestTravelIsWhatThenTravels(t *testing.T) {
	b := newBed(t)
	cache := t.TempDir()
	weigh := func(bundle string) journal.Travel {
		t.Helper()
		planned, err := b.caching(cache).Plan(t.Context(), DeployRequest{Bundle: bundle})
		all := planned.Travel
		if err != nil {
			t.Fatal(err)
		}
		return all["web1"]
	}
	for i, exe := range [][]byte{program(12), changed(program(12), "more"), changed(program(12), "more")} {
		bundle := pack(t, t.TempDir(), fmt.Sprintf("1.%d.0", i), map[string][]byte{"orders": exe, "page": []byte("p")})
		before := weigh(bundle)
		got := b.pushes(b.caching(cache), bundle)["web1"]
		if before.Bytes != got.Wire || before.Sent != got.Sent || before.Deltas != got.Deltas || before.Bare {
			t.Errorf("release %d: planned %+v, pushed %+v", i, before, got)
		}
		if after := weigh(bundle); after.Bytes != 0 || after.Sent != 0 {
			t.Errorf("release %d: after the push %+v would travel", i, after)
		}
	}
	p := b.pipeline()
	p.Bridge = func(context.Context, transport.Conn, config.Host, bool) (string, error) { return "", ErrBare }
	planned, err := p.Plan(t.Context(), DeployRequest{Bundle: pack(t, t.TempDir(), "2.0.0", map[string][]byte{"orders": program(13)})})
	if got := planned.Travel["web1"]; err != nil || !got.Bare || got.Sent != 1 || got.Bytes < 400_000 {
		t.Errorf("a bare host: %+v, %v", got, err)
	}
}

// A delta that was cut goes on where it stopped.
func TestDeltaGoesOnAfterACut(t *testing.T) {
	b := newBed(t)
	cache := t.TempDir()
	b.pushes(b.caching(cache), pack(t, t.TempDir(), "1.0.0", map[string][]byte{"orders": program(9)}))
	next := slices.Concat(program(10), program(11)[:300_000], program(9)) // more than one message takes
	bundle := pack(t, t.TempDir(), "1.1.0", map[string][]byte{"orders": next})
	whole := b.pushes(b.caching(cache), bundle)["web1"]
	d, err := os.ReadFile(filepath.Join(cache, deltaName(release.Of(program(9)), release.Of(next))))
	if err != nil || whole.Deltas != 1 {
		t.Fatal(whole, err)
	}
	b.machines["web1"] = newMachine(t, "web1")
	b.pushes(b.caching(cache), pack(t, t.TempDir(), "1.0.0", map[string][]byte{"orders": program(9)}))
	p := b.pipeline()
	f := p.fleet()
	defer f.close()
	s := newStory(newRun(time.Now()), time.Now, nil)
	if err := f[0].acquire(t.Context(), s.run, "push"); err != nil {
		t.Fatal(err)
	}
	arrived := func() bool {
		got, err := f[0].current().Have(t.Context(), rpc.Have{Digests: []release.Digest{release.Of(next)}})
		return err != nil || len(got.Missing) == 0 || got.Missing[0].Have > 0
	}
	cut := io.MultiReader(bytes.NewReader(d[:600_000]), failing{arrived})
	if _, err := f[0].current().Put(t.Context(), rpc.Put{
		Service: "orders", Run: s.run, Fence: f[0].fenced(s.run).Fence, Digest: release.Of(next), Size: int64(len(next)),
		Encoded: int64(len(d)), Encoding: rpc.EncodingDelta, Base: release.Of(program(9)),
	}, cut); err == nil {
		t.Fatal("a cut put succeeded")
	}
	p.release(f, s.run, "Failed", "")
	got := b.pushes(b.caching(cache), bundle)["web1"]
	if got.Deltas != 1 || got.Wire >= whole.Wire || got.Wire < whole.Wire-600_000 {
		t.Errorf("%d bytes travelled, at first %d", got.Wire, whole.Wire)
	}
}

// failing ends a push after something of it has arrived.
type failing struct{ arrived func() bool }

func (f failing) Read([]byte) (int, error) {
	for !f.arrived() {
		runtime.Gosched()
	}
	return 0, errors.New("cut")
}

func TestCacheKeepsWhatWasUsedLast(t *testing.T) {
	c := cache{dir: filepath.Join(t.TempDir(), "pushed"), limit: 2500}
	old := time.Now().Add(-time.Minute)
	for i, name := range []string{"a", "b", "c"} {
		if name == "c" {
			if _, ok := c.load("a"); !ok {
				t.Error("a is gone already")
			}
		}
		if err := c.save(name, make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
		if name != "c" {
			at := old.Add(time.Duration(i) * time.Second)
			if err := os.Chtimes(filepath.Join(c.dir, name), at, at); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, want := range map[string]bool{"a": true, "b": false, "c": true} {
		if c.has(name) != want {
			t.Errorf("%s is kept: %v, want %v", name, !want, want)
		}
	}
	if err := c.save("huge", make([]byte, 3000)); err != nil || c.has("huge") {
		t.Errorf("what is larger than the cache is kept, %v", err)
	}
}
