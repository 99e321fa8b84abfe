package demo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-shipper/shipper/examples/load"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/lab/project"
	"github.com/go-shipper/shipper/release"
)

// judge holds the end of the story against what was promised.
func (d *demo) judge(ctx context.Context, run *project.Process, report load.Report) error {
	records := run.Records()
	verdict, why, ok := project.Find(records, journal.TypeVerdict, func(_ journal.Record, v journal.Verdict) bool { return v.Outcome == "Failed" })
	if !ok {
		return errors.New("version 3.0.0 was taken back without a verdict")
	}
	shifted, _, ok := project.Find(records, journal.TypeWeight, func(_ journal.Record, w journal.WeightSet) bool { return w.Weight > 0 })
	if !ok {
		return errors.New("version 3.0.0 never got traffic")
	}
	if lost := report.Lost(); lost.Failed > 0 {
		return fmt.Errorf("%d requests were refused or cut: %s", lost.Failed, lost.Example)
	}
	failed := report.Failed()
	own := report.Sum(func(k load.Key) bool { return k.Version == "3.0.0" })
	if failed.Failed != own.Failed {
		return fmt.Errorf("%d failures were not version 3's own", failed.Failed-own.Failed)
	}
	late := own.LastFailed.Sub(verdict.Time)
	if late > lateAfter {
		return fmt.Errorf("version 3 still failed a request %s after the verdict", late.Round(time.Millisecond))
	}
	d.say("  verdict      %s", why.Why)
	d.say("  after        %.1f s of traffic at 5 %%", verdict.Time.Sub(shifted.Time).Seconds())
	d.say("  back         last answer of version 3 %d ms after the verdict", max(0, own.Last.Sub(verdict.Time).Milliseconds()))
	d.perSlot(report)
	d.say("  lost         none refused, none cut\n")
	return d.everywhere(ctx, "2.0.0")
}

func (d *demo) perSlot(report load.Report) {
	for _, slot := range release.Slots() {
		c := report.Sum(func(k load.Key) bool { return k.Version == "3.0.0" && k.Slot == string(slot) })
		if c.OK+c.Failed > 0 {
			d.say("  version 3    in slot %s: %d answers, %d of them failures", slot, c.OK+c.Failed, c.Failed)
		}
	}
}

// everywhere asks the hosts which version they run.
func (d *demo) everywhere(ctx context.Context, version string) error {
	status, err := d.p.Run(ctx, nil, "status")
	if err != nil {
		return err
	}
	if got := status.Result(); got.Release.Version != version || status.Exit() != 0 {
		return fmt.Errorf("status tells %s (exit %d), want version %s on all hosts\n%s", got.Release, status.Exit(), version, status.Stderr())
	}
	d.say("Both hosts run version %s. Nobody had to do anything.", version)
	return nil
}
