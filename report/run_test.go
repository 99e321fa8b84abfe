package report

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/release"
)

// recorded makes a run's records, a second apart.
func recorded(parts ...any) []journal.Record {
	var out []journal.Record
	at := time.Date(2026, 11, 22, 9, 35, 44, 0, time.UTC)
	for i := 0; i+2 < len(parts); i += 3 {
		raw, err := json.Marshal(parts[i+2])
		if err != nil {
			panic(err)
		}
		at = at.Add(time.Second)
		out = append(out, journal.Record{V: 1, Seq: int64(len(out) + 1), Time: at, Run: "r1", Type: parts[i].(string), Host: parts[i+1].(string), Data: raw})
	}
	return out
}

func wholeRun() []journal.Record {
	bad := release.Release{Version: "2.0.0", Digest: release.Of([]byte("2"))}
	good := release.Release{Version: "1.0.0", Digest: release.Of([]byte("1"))}
	return recorded(
		journal.TypeRunStarted, "", journal.RunStarted{
			Verb: "deploy", Service: "orders", Environment: "prod", Owner: "ann@ci", Address: "10.0.0.9", Release: bad, Strategy: "canary",
			Hosts: []string{"web1", "web2", "web3"}, Hotfix: true, Provenance: &journal.Provenance{Commit: "abc123", Builder: "go", Toolchain: "go1.26", Signed: true},
		},
		journal.TypeWarning, "", journal.Note{Text: "change CHG1, named by ann, overrides it"},
		journal.TypeHook, "", journal.Note{Text: "diary at beforePush: done"},
		journal.TypeStep, "", journal.StepBegan{Batch: 1, Batches: 1, Step: 1, Steps: 2, What: "setWeight 5%"},
		journal.TypeMeasurement, "", journal.Measurement{Signal: "errors", Outcome: "Inconclusive", Canary: journal.Arm{Requests: 9}, Stable: journal.Arm{Requests: 90}, Why: "too few"},
		journal.TypeMeasurement, "", journal.Measurement{Signal: "errors", Outcome: "Failed", Canary: journal.Arm{Requests: 109, Errors: 4, Ratio: .0367}, Stable: journal.Arm{Requests: 2191, Errors: 1, Ratio: .0005}, Why: "worse"},
		journal.TypeVerdict, "", journal.Verdict{Outcome: "Failed", Signal: "evidence", Why: "errors canary 3.67 % (4/109) vs stable 0.05 % (1/2191): evidence 1169:1, abort at 1000:1"},
		journal.TypeRequest, "", journal.Request{Kind: "abort", By: "bob|laptop"},
		journal.TypeUndone, "web1", journal.Undone{By: "controller", Why: "errors", Release: good, Millis: 42, Autopsy: `C:\a`},
		journal.TypeUndone, "web2", journal.Undone{By: "guard", Why: "the lease ran out", Release: good},
		journal.TypeResult, "", journal.Result{State: "RolledBack", Exit: 3, Error: "rolled back: errors"},
	)
}

func TestReportOfARun(t *testing.T) {
	d := Run(wholeRun())
	if d.State != "RolledBack" || d.Exit != 3 || len(d.HostEnds) != 3 || len(d.Judgements) != 2 || len(d.Said) != 3 {
		t.Errorf("%+v", d)
	}
	for _, markdown := range []bool{false, true} {
		var out strings.Builder
		if err := Document(&out, d, markdown, time.UTC); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{
			"orders 2.0.0 in prod: rolled back", "ann@ci from 10.0.0.9", "2026-11-22T09:35:45Z", string(release.Of([]byte("2"))), "commit abc123, built by go go1.26, signed",
			"setWeight 5%", "4/109", "1/2191", "1169:1", "1000:1", "CHG1", "diary at beforePush", "abort by bob", "web1", "42 ms", "by the guard", "not touched", "hotfix",
		} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("markdown %v: no %q in\n%s", markdown, want, out.String())
			}
		}
		if strings.Contains(out.String(), "bob|laptop") == markdown {
			t.Errorf("markdown %v: a name breaks the table\n%s", markdown, out.String())
		}
	}
}

// A run that nobody ended tells what its hosts did.
func TestReportOfALostRun(t *testing.T) {
	records := wholeRun()
	d := Run(records[:len(records)-1])
	if d.State != "Lost" || d.HostEnds[1].By != "guard" {
		t.Errorf("%s, %+v", d.State, d.HostEnds)
	}
	if d = Run(nil); d.State != "" || d.HostEnds != nil {
		t.Errorf("nothing: %+v", d)
	}
}

// TestReportShowsTheBatches: whose turn it was, and when.
func TestReportShowsTheBatches(t *testing.T) {
	d := Run(recorded(
		journal.TypeRunStarted, "", journal.RunStarted{Verb: "deploy", Service: "orders", Hosts: []string{"a", "b", "c", "d"}},
		journal.TypeStep, "", journal.StepBegan{Batch: 1, Batches: 3, Step: 1, Steps: 2, What: "setWeight 5%", Hosts: []string{"c"}},
		journal.TypeMeasurement, "", journal.Measurement{Signal: "errors", Outcome: "Inconclusive", Why: "too few"},
		journal.TypeStep, "", journal.StepBegan{Batch: 1, Batches: 3, Step: 2, Steps: 2, What: "setWeight 100%"},
		journal.TypeStep, "", journal.StepBegan{Batch: 2, Batches: 3, Step: 1, Steps: 1, What: "setWeight 100%", Hosts: []string{"a", "b"}},
	))
	var out strings.Builder
	if err := Document(&out, d, true, time.UTC); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"batch 1/3 (c), step 1/2 setWeight 5%", "batch 1/3, step 2/2 setWeight 100%", "batch 2/3 (a, b), step 1/1", "| batch 1/3, step 1/2 setWeight 5% | errors Inconclusive",
		"| host | batch | ended |", "| a | 2 | not touched |", "| c | 1 | not touched |", "| d | - | not touched |",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if got := members([]string{"1", "2", "3", "4", "5", "6", "7", "8"}); got != " (1, 2, 3, 4, 5 and 3 more)" {
		t.Errorf("%q", got)
	}
}
