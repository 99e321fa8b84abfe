package pipeline

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/go-shipper/shipper/packaging"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/rollout"
)

func TestDeployTakesTheHighestThatTheConstraintAllows(t *testing.T) {
	b := newBed(t)
	dir := t.TempDir()
	for _, version := range []string{"1.0.0", "1.2.0", "2.0.0"} {
		from := b.bundle(version)
		opened, err := packaging.Open(from)
		if err != nil {
			t.Fatal(err)
		}
		name := packaging.FileName("orders", opened.Release())
		opened.Close()
		if err := os.Rename(from, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	p := b.pipeline()
	p.Target.Build.Dist = dir
	res, err := p.Deploy(t.Context(), DeployRequest{Release: "^1.0"})
	b.want(res, err, rollout.Promoted, 0)
	b.stable("1.2.0")
	res, err = p.Deploy(t.Context(), DeployRequest{Release: "^3"})
	b.want(res, err, rollout.Failed, problem.Usage)
	if err == nil {
		t.Error("deployed what is not there")
	}
}

func TestBackwardsOnlyWhenAsked(t *testing.T) {
	b := newBed(t)
	b.steps()
	res, err := b.deploy(t.Context(), "1.1.0", nil)
	b.want(res, err, rollout.Promoted, 0)
	old := b.bundle("1.0.9")
	res, err = b.pipeline().Deploy(t.Context(), DeployRequest{Bundle: old})
	if b.want(res, err, rollout.Failed, problem.Usage); err == nil {
		t.Error("went backwards by accident")
	}
	b.stable("1.1.0")
	res, err = b.pipeline().Deploy(t.Context(), DeployRequest{Bundle: old, AllowDowngrade: true})
	b.want(res, err, rollout.Promoted, 0)
	b.stable("1.0.9")
}
