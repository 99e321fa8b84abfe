package rollout

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-shipper/shipper/release"
)

var day = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

func rel(version string) release.Release {
	return release.Release{Version: version, Digest: release.Of([]byte(version))}
}

func rev(version string) release.Digest { return release.Of([]byte("revision of " + version)) }

// kept is a revision committed n days into March; rejected by "!" in front.
func kept(version string, n int) Kept {
	version, rejected := strings.CutPrefix(version, "!")
	return Kept{Revision: rev(version), Release: rel(version), Committed: day.AddDate(0, 0, n), Rejected: rejected}
}

// on is a host that runs the last of the revisions named, committed in this
// order, by a run that promoted it.
func on(host string, versions ...string) HostView {
	h := HostView{Host: host}
	for i, v := range versions {
		h.Retained = append(h.Retained, kept(v, i))
	}
	last := versions[len(versions)-1]
	h.Stable, h.Revision = rel(last), rev(last)
	h.Run = RunView{ID: "run-" + last, State: Promoted, Committed: true, Release: rel(last), Since: day.AddDate(0, 0, len(versions))}
	return h
}

func (h HostView) warm(version string) HostView {
	h.Idle = rev(version)
	return h
}

// ran is the host after a later run of another release that ended so.
func (h HostView) ran(version string, s State) HostView {
	h.Run = RunView{ID: "run-" + version, State: s, Release: rel(version), Why: "because", Since: day.AddDate(0, 1, 0)}
	return h
}

// without is the host after a run that left others behind.
func (h HostView) without(hosts ...string) HostView {
	h.Run.Behind = hosts
	return h
}

// by names the verb of the latest run, begun when others of that name were.
func (h HostView) by(verb string) HostView {
	h.Run.Verb, h.Run.ID, h.Run.Since = verb, "back", day.AddDate(0, 2, 0)
	return h
}

// back is the host after a rollback that committed here, or ended here what
// was left over of another run.
func (h HostView) back(committed bool) HostView {
	h.Run = RunView{State: RolledBack, Committed: committed}
	if committed {
		h.Run.Release = h.Stable
	}
	return h.by("rollback")
}

func TestDecideRollback(t *testing.T) {
	never := HostView{Host: "b"}
	alive := on("b", "1.0.0").ran("2.0.0", Running)
	alive.Alive = true
	silent := HostView{Host: "b", Err: errors.New("no route")}
	tests := []struct {
		name   string
		hosts  []HostView
		to     string
		exit   int
		moves  string // a:move/version
		target string
		why    string
		hint   string
	}{
		{name: "never deployed", hosts: []HostView{{Host: "a"}, never}, exit: 1, why: "no committed release", hint: "shipper deploy"},
		{name: "first ever deploy", hosts: []HostView{on("a", "1.0.0")}, exit: 1, why: "no committed revision before 1.0.0"},
		{name: "failed first deploy", hosts: []HostView{HostView{Host: "a"}.ran("1.0.0", Failed)}, exit: 1, why: "no committed release"},
		{name: "run alive", hosts: []HostView{on("a", "1.0.0"), alive}, exit: 6, why: "run run-2.0.0 is alive on b", hint: "shipper abort"},
		{name: "parked", hosts: []HostView{on("a", "0.9.0", "1.0.0").ran("2.0.0", Paused), on("b", "1.0.0").ran("2.0.0", Paused)}, moves: "a:end/1.0.0 b:end/1.0.0", target: "1.0.0"},
		{name: "parked first deploy", hosts: []HostView{HostView{Host: "a"}.ran("1.0.0", Paused)}, moves: "a:end/"},
		{name: "lost", hosts: []HostView{on("a", "0.9.0", "1.0.0").ran("2.0.0", Lost), on("b", "1.0.0").ran("2.0.0", Running)}, moves: "a:end/1.0.0 b:end/1.0.0", target: "1.0.0", why: "lost"},
		{name: "lost before it reached all", hosts: []HostView{on("a", "1.0.0").ran("2.0.0", Lost), on("b", "1.0.0")}, moves: "a:end/1.0.0 b:stay/1.0.0", target: "1.0.0"},
		{name: "split", hosts: []HostView{on("a", "1.0.0", "2.0.0").warm("1.0.0"), on("b", "1.0.0").ran("2.0.0", Lost)}, target: "1.0.0", moves: "a:flip/1.0.0 b:end/1.0.0"},
		{name: "split on the way back", hosts: []HostView{on("a", "1.0.0", "!2.0.0", "1.0.0").back(true), on("b", "1.0.0", "2.0.0").warm("1.0.0").ran("1.0.0", Lost).by("rollback")}, target: "1.0.0", moves: "a:stay/1.0.0 b:flip/1.0.0"},
		{name: "split on the way back, with an earlier one", hosts: []HostView{on("a", "0.9.0", "!2.0.0", "1.0.0").back(true), on("b", "0.9.0", "1.0.0", "2.0.0").ran("1.0.0", Lost).by("rollback")}, target: "1.0.0", moves: "a:stay/1.0.0 b:start/1.0.0"},
		{name: "committed, warm", hosts: []HostView{on("a", "1.0.0", "2.0.0").warm("1.0.0"), on("b", "1.0.0", "2.0.0").warm("1.0.0")}, moves: "a:flip/1.0.0 b:flip/1.0.0", target: "1.0.0"},
		{name: "committed, cold", hosts: []HostView{on("a", "1.0.0", "2.0.0"), on("b", "1.0.0", "2.0.0").warm("1.0.0")}, moves: "a:start/1.0.0 b:flip/1.0.0", target: "1.0.0"},
		{name: "after a rollback", hosts: []HostView{on("a", "1.0.0", "2.0.0").ran("3.0.0", RolledBack)}, moves: "a:start/1.0.0", target: "1.0.0"},
		{name: "rejected is skipped", hosts: []HostView{on("a", "1.0.0", "!2.0.0", "3.0.0")}, moves: "a:start/1.0.0", target: "1.0.0"},
		{name: "only rejected is left", hosts: []HostView{on("a", "!2.0.0", "3.0.0")}, exit: 1, why: "no committed revision before", hint: "rollback --to 2.0.0"},
		{name: "rejected by name", hosts: []HostView{on("a", "1.0.0", "!2.0.0", "3.0.0")}, to: "2.0.0", moves: "a:start/2.0.0", target: "2.0.0"},
		{name: "by revision", hosts: []HostView{on("a", "1.0.0", "2.0.0", "3.0.0")}, to: string(rev("1.0.0")[:8]), moves: "a:start/1.0.0", target: "1.0.0"},
		{name: "too short a revision", hosts: []HostView{on("a", "1.0.0", "2.0.0")}, to: string(rev("1.0.0")[:5]), exit: 1, why: "does not keep"},
		{name: "pruned", hosts: []HostView{on("a", "1.0.0", "2.0.0")}, to: "0.1.0", exit: 1, why: "a does not keep 0.1.0; kept are 2.0.0, 1.0.0"},
		{name: "pruned on one host", hosts: []HostView{on("a", "1.0.0", "2.0.0"), on("b", "2.0.0")}, exit: 1, why: "b does not keep 1.0.0; kept are 2.0.0"},
		{name: "to what runs already", hosts: []HostView{on("a", "1.0.0", "2.0.0")}, to: "2.0.0", moves: "a:stay/2.0.0", target: "2.0.0", why: "already running"},
		{name: "one host is there already", hosts: []HostView{on("a", "1.0.0", "2.0.0"), on("b", "1.0.0")}, moves: "a:start/1.0.0 b:stay/1.0.0", target: "1.0.0"},
		{name: "a host does not answer", hosts: []HostView{on("a", "1.0.0", "2.0.0"), silent}, exit: 7, why: "b: no route"},
		{name: "a new host has nothing yet", hosts: []HostView{on("a", "1.0.0", "2.0.0"), never}, moves: "a:start/1.0.0 b:stay/", target: "1.0.0"},
		{name: "no hosts", exit: 1, why: "no hosts"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := DecideRollback(tt.hosts, tt.to)
			if d.Exit != tt.exit || d.Target.Version != tt.target || movesText(tt.hosts, d) != tt.moves {
				t.Errorf("exit %d to %q: %s (%s), want %d to %q: %s", d.Exit, d.Target.Version, movesText(tt.hosts, d), d.Why, tt.exit, tt.target, tt.moves)
			}
			if !strings.Contains(d.Why, tt.why) || !strings.Contains(d.Hint, tt.hint) {
				t.Errorf("why %q hint %q, want %q and %q", d.Why, d.Hint, tt.why, tt.hint)
			}
		})
	}
}

func movesText(hosts []HostView, d Decision) string {
	var out []string
	for _, h := range hosts {
		if m, ok := d.Moves[h.Host]; ok {
			out = append(out, h.Host+":"+string(m.Move)+"/"+m.Release.Version)
		}
	}
	return strings.Join(out, " ")
}

// TestRollbackRejects: what is left is marked, what stays is not.
func TestRollbackRejects(t *testing.T) {
	d := DecideRollback([]HostView{on("a", "1.0.0", "2.0.0"), on("b", "1.0.0")}, "")
	if got := d.Moves["a"].Rejects; got != rev("2.0.0") {
		t.Errorf("a rejects %q", got)
	}
	if got := d.Moves["b"].Rejects; got != "" {
		t.Errorf("b rejects %q", got)
	}
}

// TestConfigurationChange: the same release in another revision is a target.
func TestConfigurationChange(t *testing.T) {
	h := on("a", "1.0.0", "1.0.0+b")
	h.Retained[1].Release, h.Stable = rel("1.0.0"), rel("1.0.0")
	d := DecideRollback([]HostView{h}, "")
	if m := d.Moves["a"]; m.Move != StartCold || m.Revision != rev("1.0.0") {
		t.Errorf("move %+v", m)
	}
}

func TestFleet(t *testing.T) {
	alive := func(h HostView) HostView { h.Alive = true; return h }
	silent := HostView{Host: "c", Err: errors.New("no route")}
	tests := []struct {
		name   string
		hosts  []HostView
		state  State
		stable string
		behind []string
		why    string
	}{
		{"empty", nil, "", "", nil, ""},
		{"nothing deployed", []HostView{{Host: "a"}}, "", "", nil, ""},
		{"promoted", []HostView{on("a", "1.0.0", "2.0.0"), on("b", "1.0.0", "2.0.0")}, Promoted, "2.0.0", nil, ""},
		{"promoted, one unreachable", []HostView{on("a", "1.0.0", "2.0.0"), silent}, Promoted, "2.0.0", []string{"c"}, ""},
		{"promoted, one missed the run", []HostView{on("a", "1.0.0", "2.0.0"), on("b", "1.0.0")}, Promoted, "2.0.0", []string{"b"}, ""},
		{"running", []HostView{alive(on("a", "1.0.0").ran("2.0.0", Running)), on("b", "1.0.0").ran("2.0.0", Running)}, Running, "1.0.0", nil, ""},
		{"paused alive", []HostView{alive(on("a", "1.0.0").ran("2.0.0", Paused))}, Paused, "1.0.0", nil, "because"},
		{"parked", []HostView{on("a", "1.0.0").ran("2.0.0", Paused), on("b", "1.0.0").ran("2.0.0", Lost)}, Paused, "1.0.0", nil, "by its own lease: b"},
		{"controller gone, lease runs", []HostView{on("a", "1.0.0").ran("2.0.0", Running), on("b", "1.0.0").ran("2.0.0", Lost)}, Lost, "1.0.0", nil, "controller"},
		{"lost", []HostView{on("a", "1.0.0").ran("2.0.0", Lost), on("b", "1.0.0").ran("2.0.0", Lost)}, Lost, "1.0.0", nil, "because"},
		{"rolled back, one by its lease", []HostView{on("a", "1.0.0").ran("2.0.0", RolledBack), on("b", "1.0.0").ran("2.0.0", Lost)}, RolledBack, "1.0.0", nil, "by its own lease: b"},
		{"a host that missed the run", []HostView{on("a", "1.0.0").ran("2.0.0", RolledBack), on("b", "1.0.0").ran("1.5.0", Lost)}, RolledBack, "1.0.0", nil, "because"},
		{"aborted", []HostView{on("a", "1.0.0").ran("2.0.0", Aborted)}, Aborted, "1.0.0", nil, "because"},
		{"failed first deploy", []HostView{HostView{Host: "a"}.ran("1.0.0", Failed)}, Failed, "", nil, "because"},
		{"split that was rolled back", []HostView{on("a", "1.0.0", "2.0.0", "1.0.0").back(true), on("b", "1.0.0").back(false)}, RolledBack, "1.0.0", nil, ""},
		{"rollback that lost a host in its commit round", []HostView{on("a", "1.0.0", "2.0.0", "1.0.0").back(true), on("b", "1.0.0", "2.0.0").ran("1.0.0", Lost).by("rollback")}, Split, "1.0.0", []string{"b"}, "committed on a, not on b"},
		{"promoted, one was skipped", []HostView{on("a", "1.0.0", "2.0.0").without("c"), on("b", "1.0.0", "2.0.0").without("c"), silent}, Promoted, "2.0.0", []string{"c"}, ""},
		{"promoted, one failed and was left", []HostView{on("a", "1.0.0", "2.0.0").without("b"), on("b", "1.0.0").ran("2.0.0", RolledBack)}, Promoted, "2.0.0", []string{"b"}, ""},
		{"promoted, one lost and its lease runs", []HostView{on("a", "1.0.0", "2.0.0").without("b"), alive(on("b", "1.0.0").ran("2.0.0", Running))}, Promoted, "2.0.0", []string{"b"}, ""},
		{"rolled back, one could not be told", []HostView{on("a", "1.0.0").ran("2.0.0", RolledBack).without("b"), alive(on("b", "1.0.0").ran("2.0.0", Running))}, RolledBack, "1.0.0", []string{"b"}, "because"},
		{"rolled back by hand, one was off", []HostView{on("a", "1.0.0", "2.0.0", "1.0.0").back(false).without("b"), on("b", "1.0.0", "2.0.0")}, RolledBack, "1.0.0", []string{"b"}, ""},
		{"failed where most were behind before", []HostView{on("a", "1.0.0").ran("3.0.0", RolledBack).without("a", "b"), on("b", "1.0.0").ran("3.0.0", RolledBack), on("d", "1.0.0", "2.0.0").ran("3.0.0", RolledBack)}, RolledBack, "2.0.0", []string{"a", "b"}, "because"},
		{"failed, and as many on either side", []HostView{on("a", "1.0.0").ran("3.0.0", RolledBack), on("b", "1.0.0", "2.0.0").ran("3.0.0", RolledBack)}, RolledBack, "2.0.0", []string{"a"}, "because"},
		{"split", []HostView{on("a", "1.0.0", "2.0.0"), on("b", "1.0.0").ran("2.0.0", Lost), on("d", "1.0.0").ran("2.0.0", Lost)}, Split, "1.0.0", []string{"a"}, "committed on a, not on b, d"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for i := range tt.hosts { // the run of 2.0.0 began at one time everywhere
				if tt.hosts[i].Run.ID == "run-2.0.0" {
					tt.hosts[i].Run.Since = day.AddDate(0, 1, 0)
				}
			}
			f := Fleet(tt.hosts)
			if f.State != tt.state || f.Stable.Version != tt.stable || !slices.Equal(f.Behind, tt.behind) || !strings.Contains(f.Why, tt.why) || tt.why == "because" && f.Why != tt.why {
				t.Errorf("got %+v, want %s on %q behind %v why %q", f, tt.state, tt.stable, tt.behind, tt.why)
			}
		})
	}
}
