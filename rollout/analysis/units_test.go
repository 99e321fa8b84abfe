package analysis

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/go-shipper/shipper/release"
)

// looks of a service whose clients stick to their slot: one in a hundred
// clients fails for a reason of its own, and tries twenty times.
func stickyLook(random *rand.Rand) (canary, stable Counts) {
	canary.Drawn, stable.Drawn = true, true
	for range 100 {
		arm := &stable
		if random.IntN(100) < 5 {
			arm = &canary
		}
		requests, errors := int64(1), int64(0)
		if random.IntN(100) == 0 {
			requests, errors = 20, 20
		}
		arm.Requests += requests
		arm.Errors += errors
		arm.Units++
		arm.UnitErrors += min(errors, 1)
		canary.Share += 500
	}
	return canary, stable
}

// Clients that stick and retry put their errors into one arm together. Taken
// as requests they abort good releases; taken as what was drawn they do not,
// and what really is worse is still found.
func TestErrorsOfOneClientAreOne(t *testing.T) {
	const runs, looks = 100, 300
	alarms := func(drawn bool) (n int) {
		random := rand.New(rand.NewPCG(1, 2))
		for range runs {
			e := newEvidence(evidenceOnly()[0])
			e.begin(500)
			for i := range looks {
				canary, stable := stickyLook(random)
				canary.Drawn, stable.Drawn = drawn, drawn
				e.observe(t0.Add(seconds(i)), "a", canary, stable)
			}
			if e.broken != "" {
				n++
			}
			if drawn && e.mismatch() {
				t.Error("the share of the clients is not the weight")
			}
		}
		return n
	}
	if n := alarms(true); n > 1 {
		t.Errorf("%d of %d good releases are aborted by what was drawn", n, runs)
	}
	if n := alarms(false); n < runs/10 {
		t.Errorf("%d of %d good releases are aborted by requests: the test shows nothing", n, runs)
	}

	e := newEvidence(evidenceOnly()[0])
	e.begin(500)
	for i := 0; e.broken == ""; i++ {
		if i > 120 {
			t.Fatal("a bad canary is not found")
		}
		e.observe(t0.Add(seconds(i)), "a", Counts{Drawn: true, Requests: 500, Errors: 100, Units: 5, UnitErrors: 1}, Counts{Drawn: true, Requests: 9500, Units: 95})
	}
	if !strings.Contains(e.broken, "/") || strings.Contains(e.broken, "500") {
		t.Errorf("the verdict tells other numbers than it compared: %s", e.broken)
	}
}

// What the draws said is what the share is held against: a canary that warms
// up has less than its weight, and no more than that.
func TestSampleRatioOfACanaryThatWarmsUp(t *testing.T) {
	e := newEvidence(evidenceOnly()[0])
	e.begin(5000)
	for i := range 100 {
		canary, stable := Counts{Drawn: true, Requests: 10, Units: 10, Share: 100 * 1000}, Counts{Drawn: true, Requests: 90, Units: 90}
		e.observe(t0.Add(seconds(i)), "a", canary, stable)
	}
	if e.mismatch() {
		t.Error("a tenth by the draws, and a tenth in fact, do not match")
	}
	for i := range 100 {
		canary, stable := Counts{Drawn: true, Requests: 10, Units: 10, Share: 100 * 5000}, Counts{Drawn: true, Requests: 90, Units: 90}
		e.observe(t0.Add(seconds(100+i)), "a", canary, stable)
	}
	if !e.mismatch() {
		t.Error("a half by the draws and a tenth in fact match")
	}
}

// While nothing is drawn nothing is compared; a canary that is stable by now
// is looked at by all it answers.
func TestWhatIsCompared(t *testing.T) {
	for _, c := range []struct {
		name           string
		canary, stable Counts
		whole          bool
		want           tally
	}{
		{"older router", Counts{Requests: 5, Errors: 1}, Counts{Requests: 95, Errors: 2}, false, tally{1, 5, 2, 95}},
		{"drawn", Counts{Drawn: true, Requests: 9, Errors: 9, Units: 5, UnitErrors: 1}, Counts{Drawn: true, Requests: 99, Units: 90}, false, tally{1, 5, 0, 90}},
		{"canary out of use", Counts{Drawn: true}, Counts{Drawn: true, Requests: 99, Errors: 9}, false, tally{}},
		{"after the commit", Counts{Drawn: true, Requests: 50, Errors: 2}, Counts{Drawn: true}, true, tally{2, 50, 0, 0}},
		{"a client that retries while nobody else asks", Counts{Drawn: true, Requests: 5, Errors: 5}, Counts{Drawn: true}, false, tally{}},
	} {
		if got := compared(c.canary, c.stable, c.whole); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

// A canary that the router's checks hold for dead fails without any request,
// unless stable is held for dead too.
func TestHardRuleOfAnUnhealthyCanary(t *testing.T) {
	const ill = "3 checks in a row failed: refused"
	look := func(h *Hard, n int, canary, stable string) (why string, broken bool) {
		for range n {
			why, broken = h.Observe("a", Look{Epoch: "1", Canary: Counts{Out: canary}, Stable: Counts{Out: stable}})
		}
		return why, broken
	}
	h := NewHard()
	for _, step := range []struct {
		looks          int
		canary, stable string
		broken         bool
	}{{9, ill, "", false}, {1, "", "", false}, {9, ill, "", false}, {50, ill, ill, false}, {9, ill, "", false}, {1, ill, "", true}} {
		why, broken := look(h, step.looks, step.canary, step.stable)
		if broken != step.broken {
			t.Fatalf("%+v: %v %q", step, broken, why)
		}
		if broken && why != "a: canary is unhealthy for 10 looks, stable is not: "+ill {
			t.Errorf("%q", why)
		}
	}
	if release.Full != 10000 {
		t.Error("shares are in basis points")
	}
}

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }
