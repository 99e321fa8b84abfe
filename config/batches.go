package config

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// What a host means that does not answer.
const (
	UnreachableFail   = "fail"
	UnreachableSkip   = "skip"
	UnreachableQuorum = "quorum"
)

// Secrets of a release that the fleet goes back to.
const (
	SecretsRelease = "release" // those it was deployed with
	SecretsCurrent = "current" // as they are now
)

// What a release that turned out bad means before it is committed.
const (
	OnFailureRollback = "rollback"
	OnFailurePause    = "pause"
	OnFailureFreeze   = "freeze"
)

// What the lock of another run means to a deploy.
const (
	ConcurrentReject    = "reject"
	ConcurrentQueue     = "queue"
	ConcurrentSupersede = "supersede"
)

// Needs is how many hosts must answer.
func (r Rollout) Needs(all int) int {
	switch r.Unreachable {
	case UnreachableSkip:
		return 1
	case UnreachableQuorum:
		return max(1, min(all, r.Quorum.Needed(all)))
	}
	return all
}

// Amount is a number of hosts, written as `2`, or as a share of all, `25%`.
type Amount struct {
	N       int
	Percent bool
}

// Of is the amount of all hosts. A share is rounded down, but is one host at
// least: the smaller batch is the careful one.
func (a Amount) Of(all int) int {
	if !a.Percent {
		return a.N
	}
	n := int(math.Floor(float64(all) * float64(a.N) / 100))
	if n == 0 && a.N > 0 {
		return 1
	}
	return n
}

// Needed is Of for a minimum: a share is rounded up.
func (a Amount) Needed(all int) int {
	if !a.Percent {
		return a.N
	}
	return int(math.Ceil(float64(all) * float64(a.N) / 100))
}

func (a Amount) String() string {
	if a.Percent {
		return strconv.Itoa(a.N) + "%"
	}
	return strconv.Itoa(a.N)
}

// Batch is a group of hosts that step together: by name, by tags, or so many
// of those that no batch before has.
type Batch struct {
	Hosts []string
	Tags  map[string]string `yaml:"tags" scalar:"any"`
	Size  Amount
}

func parseAmount(s string) (Amount, bool) {
	digits, percent := strings.CutSuffix(s, "%")
	n, err := strconv.Atoi(digits)
	if err != nil || n < 0 || n > maxHosts || percent && n > 100 {
		return Amount{}, false
	}
	return Amount{n, percent}, true
}

// decodeNode reads `2` or `25%`.
func (a *Amount) decodeNode(d *decoder, n *yaml.Node, path string) {
	var ok bool
	if n.Kind == yaml.ScalarNode && n.Tag != "!!float" {
		*a, ok = parseAmount(n.Value)
	}
	if !ok {
		d.problem(path, "write a number of hosts, like 1, or a share of all, like 25%", "%s: want a number or a percentage, got %s", name(path), describe(n))
	}
}

// decodeNode reads `[web1, web2]`, `{tags: {ring: canary}}`, `1` or `25%`.
func (b *Batch) decodeNode(d *decoder, n *yaml.Node, path string) {
	v := reflect.ValueOf(b).Elem()
	switch n.Kind {
	case yaml.SequenceNode:
		d.list(n, v.FieldByName("Hosts"), path, "")
	case yaml.MappingNode:
		d.structure(n, v, path)
	default:
		b.Size.decodeNode(d, n, path)
		if b.Size == (Amount{}) || b.Size.N == 0 {
			d.problem(path, "write names, {tags: {ring: canary}}, a number like 1, or a share like 25%", "%s: a batch of %s has no hosts", name(path), describe(n))
		}
	}
}

// Batches are the groups of hosts in the order in which they are released to.
// Sizes take hosts in the order of the file, and the last size repeats until
// all are in. Without any: one batch of all.
func (t Target) Batches() [][]string {
	out, left := t.groups()
	if len(out) == 0 {
		return [][]string{left}
	}
	return out
}

// groups also tells what no batch has.
func (t Target) groups() (out [][]string, left []string) {
	for _, h := range t.Hosts {
		left = append(left, h.Name)
	}
	all := len(left)
	take := func(names []string) {
		if len(names) > 0 {
			out = append(out, slices.Clone(names))
		}
		left = slices.DeleteFunc(left, func(h string) bool { return slices.Contains(names, h) })
	}
	var last Amount
	for _, b := range t.Rollout.Batches {
		switch last = b.Size; {
		case b.Tags != nil:
			take(t.tagged(b.Tags, left))
		case b.Hosts != nil:
			take(b.Hosts)
		default:
			take(left[:min(last.Of(all), len(left))])
		}
	}
	for last.N > 0 && len(left) > 0 {
		take(left[:min(last.Of(all), len(left))])
	}
	return out, left
}

// tagged lists those of the hosts that have all the tags.
func (t Target) tagged(want map[string]string, among []string) []string {
	var out []string
	for _, h := range t.Hosts {
		has := slices.Contains(among, h.Name)
		for key, value := range want {
			has = has && h.Tags[key] == value
		}
		if has {
			out = append(out, h.Name)
		}
	}
	return out
}

// batches checks that every host is in exactly one.
func (c *checker) batches() {
	if len(c.t.Rollout.Batches) == 0 {
		if _, written := c.at.places["rollout.batches"]; written {
			c.problem("rollout.batches", "remove it: all hosts are one batch then", "`rollout.batches` is empty")
		}
		return
	}
	known, seen := c.t.hostNames(), map[string]bool{}
	for i, batch := range c.t.Rollout.Batches {
		c.batch(fmt.Sprintf("rollout.batches[%d]", i), batch, known, seen)
	}
	if _, missing := c.t.groups(); len(missing) > 0 {
		c.problem("rollout.batches", "add them to a batch, end with 100%, or remove batches", "`rollout.batches`: no batch has %s", shorten(strings.Join(missing, ", ")))
	}
}
