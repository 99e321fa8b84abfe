package config

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/release"
)

// maxHold is what the router takes.
const maxHold = 10 * time.Minute

// maxAlpha still wants odds of ten to one before a release is taken back.
const maxAlpha = 0.1

func (c *checker) rollout() {
	r := c.t.Rollout
	c.steps("rollout.steps", r.Steps)
	c.steps("rollout.laterSteps", r.LaterSteps)
	c.steps("rollout.hotfixSteps", r.HotfixSteps)
	c.positive("rollout.parkFor", r.ParkFor > 0)
	c.positive("rollout.maxUnavailable", r.MaxUnavailable.N > 0)
	if r.Hold > maxHold {
		c.problem("rollout.hold", "30s is usual", "`rollout.hold`: %v is more than %v", r.Hold, maxHold)
	}
	if c.t.Service.Data == "exclusive" && r.Strategy != "recreate" {
		c.problem("service.data", "write rollout: {strategy: recreate}", "`service.data: exclusive` allows one instance at a time, strategy %s runs two", r.Strategy)
	}
	if c.t.Rollback.OnFailure == OnFailureFreeze && r.Strategy == "recreate" {
		c.problem("rollback.onFailure", "write pause, or rollback", "`rollback.onFailure: freeze` gives all traffic to stable, which a recreate has stopped")
	}
	c.positive("rollout.quorum", r.Quorum.N > 0)
	if _, written := c.at.places["rollout.quorum"]; written && r.Unreachable != UnreachableQuorum {
		c.problem("rollout.quorum", "write unreachable: quorum", "`rollout.quorum` counts with `unreachable: quorum` only")
	}
	if b := r.FailureBudget; b.Percent && b.N == 100 {
		c.problem("rollout.failureBudget", "25% is much already", "`rollout.failureBudget`: a release that fails everywhere is not released")
	}
}

// steps reports weights that do not rise, and weights where no canary is.
func (c *checker) steps(path string, steps []Step) {
	last := release.Weight(-1)
	c.others(path, steps)
	for i, s := range steps {
		at := fmt.Sprintf("%s[%d].setWeight", path, i)
		switch {
		case s.SetWeight == nil:
			continue
		case c.t.Traffic.Router == "none":
			c.problem(at, "release to few hosts first: rollout.batches: [1, 25%]", "`%s`: with `traffic.router: none` nobody sets weights", at)
		case c.t.Rollout.Strategy != "canary":
			c.problem(at, "remove the step, or use strategy: canary", "`%s`: strategy %s has no weights", at, c.t.Rollout.Strategy)
		case *s.SetWeight <= last:
			c.problem(at, "weights rise from step to step", "`%s`: %v after %v", at, *s.SetWeight, last)
		}
		last = *s.SetWeight
	}
}

// others reports steps that have no meaning for a strategy.
func (c *checker) others(path string, steps []Step) {
	strategy := c.t.Rollout.Strategy
	for i, s := range steps {
		at := fmt.Sprintf("%s[%d]", path, i)
		switch {
		case s.Analysis && strategy != "canary":
			c.problem(at+".analysis", "remove it: a bake ends with an analysis", "`%s`: strategy %s judges in its bake", at, strategy)
		case s.Pause != nil && (strategy == "rolling" || strategy == "recreate"):
			c.problem(at+".pause", "write rollout.bake: that is how long each host is watched", "`%s`: strategy %s has no steps", at, strategy)
		}
	}
}

// batch looks at one of them; seen are the hosts that are named before it.
func (c *checker) batch(at string, b Batch, known []string, seen map[string]bool) {
	switch {
	case b.Size.N > 0:
		return
	case b.Tags != nil:
		if len(c.t.tagged(b.Tags, known)) == 0 {
			c.problem(at, "give hosts the tags, or remove the batch", "`%s`: no host of `%s` has these tags", at, c.t.Environment)
		}
		return
	case len(b.Hosts) == 0:
		c.problem(at, "name hosts in it, or remove it", "`%s` is empty", at)
	}
	for j, host := range b.Hosts {
		at := fmt.Sprintf("%s[%d]", at, j)
		switch {
		case seen[host]:
			c.problem(at, "remove one of the two", "`%s`: host %s is in two batches", at, host)
		case !slices.Contains(known, host):
			c.problem(at, problem.Suggest(host, known), "`%s`: environment `%s` has no host %s", at, c.t.Environment, shorten(host))
		}
		seen[host] = true
	}
}

func (c *checker) analysis() {
	a := c.t.Analysis
	if !(a.Alpha > 0 && a.Alpha <= maxAlpha) {
		c.problem("analysis.alpha", "0.001 takes one good release of a thousand back", "`analysis.alpha` must be above 0 and at most %v", maxAlpha)
	}
	c.positive("analysis.minRequests", a.MinRequests > 0)
	c.positive("analysis.maxWait", a.MaxWait > 0)
	c.within("analysis.limits.cpu", a.Limits.CPU >= 0 && a.Limits.CPU <= 4096, "0 to 4096")
	c.within("analysis.limits.workingSetMB", a.Limits.WorkingSetMB >= 0, "0 or more")
	c.within("analysis.limits.handles", a.Limits.Handles >= 0, "0 or more")
	c.startingSteps()
	names := map[string]bool{}
	for i, s := range a.Signals {
		at := fmt.Sprintf("analysis.signals[%d]", i)
		if s.kinds() != 1 {
			c.problem(at, "write {evidence: {}}, {errors: {above: 0.01}} or {latency: {max: 500ms}}", "`%s`: a signal has exactly one of evidence, errors, latency, prometheus, web, exec", at)
			continue
		}
		if names[s.Name] {
			c.problem(at, "give each signal a name of its own", "`%s`: signal %s is there twice", at, shorten(s.Name))
		}
		names[s.Name] = true
		c.signal(at, s)
	}
}

func (c *checker) signal(at string, s Signal) {
	if s.Interval < 100*time.Millisecond {
		c.problem(at+".interval", "5s is usual", "`%s.interval` must be at least 100ms", at)
	}
	if s.FailureLimit < 0 {
		c.problem(at+".failureLimit", "0 tolerates no failed measurement", "`%s.failureLimit` must not be negative", at)
	}
	for key, limit := range map[string]*int{"inconclusiveLimit": s.InconclusiveLimit, "consecutiveErrorLimit": s.ConsecutiveErrorLimit} {
		if limit != nil && *limit < 0 {
			c.problem(at+"."+key, "leave it out to tolerate any number", "`%s.%s` must not be negative", at, key)
		}
	}
	if s.Asks() {
		c.source(at, s)
	} else if s.Success != "" || s.Failure != "" || s.Count != 0 {
		c.problem(at, "remove success, failure and count", "`%s`: conditions and count are for prometheus, web and exec", at)
	}
	c.positive(at+".minRequests", s.MinRequests > 0 || s.MinRequests == c.t.Analysis.MinRequests)
	if e := s.Evidence; e != nil {
		c.evidence(at+".evidence", *e)
	}
	if e := s.Errors; e != nil {
		switch {
		case !share(e.Max) || !share(e.Above):
			c.problem(at+".errors", "0.01 is one percent", "`%s.errors`: a share is between 0 and 1", at)
		case e.Max == 0 && e.Above == 0:
			c.problem(at+".errors", "write {above: 0.01}: one percentage point above stable", "`%s.errors`: max or above is missing", at)
		}
	}
	if l := s.Latency; l != nil {
		switch {
		case l.Percentile <= 0 || l.Percentile >= 1:
			c.problem(at+".latency.percentile", "0.99 is the 99th percentile", "`%s.latency.percentile` is between 0 and 1", at)
		case l.Factor != 0 && !(l.Factor >= 1):
			c.problem(at+".latency.factor", "1.5 allows half as much again as stable", "`%s.latency.factor` is at least 1", at)
		case l.Max == 0 && l.Factor == 0:
			c.problem(at+".latency", "write {max: 500ms} or {factor: 1.5}", "`%s.latency`: max or factor is missing", at)
		}
	}
}

// kinds counts what the signal is; it should be one.
func (s Signal) kinds() int {
	n := 0
	for _, is := range []bool{s.Evidence != nil, s.Errors != nil, s.Latency != nil, s.Prometheus != nil, s.Web != nil, s.Exec != nil} {
		if is {
			n++
		}
	}
	return n
}

func (c *checker) evidence(at string, e EvidenceTest) {
	if !(e.MaxErrors > 0 && e.MaxErrors < 1) {
		c.problem(at+".maxErrors", "0.01 is one percent", "`%s.maxErrors` is between 0 and 1", at)
	}
	if !(e.Margin >= 1 && e.Margin <= 100) {
		c.problem(at+".margin", "1 wants no more errors than stable has, 2 allows twice as many", "`%s.margin` is between 1 and 100", at)
	}
	if !(e.Tolerance > 0 && e.Tolerance <= 100) {
		c.problem(at+".tolerance", "0.2 allows a fifth more latency than stable has", "`%s.tolerance` is above 0 and at most 100", at)
	}
}

// share also refuses NaN, which compares with nothing.
func share(x float64) bool { return x >= 0 && x <= 1 }

func (c *checker) limits() {
	if l := c.t.Rollback.Lease; l < time.Second || l > 10*time.Minute {
		c.problem("rollback.lease", "30s is usual", "`rollback.lease`: %v is not between 1s and 10m", l)
	}
	if r := c.t.Rollback.Ramp; r > 10*time.Minute {
		c.problem("rollback.ramp", "10s is usual", "`rollback.ramp`: %v is more than 10m: a rollback that takes so long rescues nobody", r)
	}
	c.positive("retention.releases", c.t.Retention.Releases > 0)
	if len(c.t.Bootstrap.Allow) == 0 {
		c.problem("bootstrap.allow", "write [tar, powershell]", "`bootstrap.allow` allows no way to a host")
	}
	for i, f := range c.t.Bootstrap.Helper.Files {
		at := c.t.helperAt(i)
		if f.Path == "" {
			c.problem(at, "write {path: FILE, sha256: DIGEST}", "`%s` needs a path", at)
		}
		if _, err := release.ParseDigest(strings.ToLower(f.SHA256)); err != nil {
			c.problem(at, "sha256sum tells the digest of the file that was signed", "`%s.sha256`: %v", at, err)
		}
	}
}
