//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/go-shipper/shipper/lab"
)

// rounds is how often each way is measured, in turn; the median counts.
const rounds = 5

// ways are the rates of one protection, in bytes per second.
type ways struct {
	push, whole, ceiling, ansible, doubled, echo []float64
}

// wire measures pushes to a Windows host under Wine beside its peers.
func (b *bench) wire(ctx context.Context) error {
	l, err := lab.Up(ctx, lab.Options{Name: fmt.Sprintf("push-%d", os.Getpid()), Temporary: true})
	if err != nil {
		return err
	}
	defer l.Down(context.WithoutCancel(ctx))
	h := l.Hosts()[0]
	if err := placePeer(ctx, l.Prefix(h.Name)); err != nil {
		return err
	}
	for _, https := range []bool{false, true} {
		w, err := b.protection(ctx, labRemote(h, https))
		if err != nil {
			return err
		}
		b.report(https, w)
	}
	return nil
}

func labRemote(h lab.Host, https bool) remote {
	r := remote{Host: h.Name, Address: h.Address, Port: h.HTTPPort, User: h.User, Password: h.Password, CAFile: h.CAFile}
	if https {
		r.HTTPS, r.Port = true, h.HTTPSPort
	}
	return r
}

// protection measures all ways over one of the two ports.
func (b *bench) protection(ctx context.Context, host remote) (ways, error) {
	var w ways
	for range rounds {
		content := b.variant()
		push, whole, err := b.push(ctx, host, content)
		if err != nil {
			return w, err
		}
		w.push, w.whole = append(w.push, push), append(w.whole, whole)
		for _, m := range []struct {
			into *[]float64
			do   func() (float64, error)
		}{
			{&w.ceiling, func() (float64, error) { return ceiling(ctx, host.config(), content) }},
			{&w.doubled, func() (float64, error) { return doubled(ctx, host.config(), content) }},
			{&w.ansible, func() (float64, error) { return ansible(ctx, b.dir, host.config(), content) }},
		} {
			r, err := m.do()
			if err != nil {
				return w, err
			}
			*m.into = append(*m.into, r)
		}
	}
	r, err := echo(ctx, host.config(), b.exe)
	w.echo = []float64{r}
	return w, err
}

// push pushes content as a release, not compressed. The first rate is until
// the host has it flushed and verified, the second until it is installed.
func (b *bench) push(ctx context.Context, r remote, content []byte) (arrived, installed float64, err error) {
	path, err := bundle(b.dir, b.version(), "windows", content)
	if err != nil {
		return 0, 0, err
	}
	defer os.Remove(path)
	told, err := push(ctx, controller([]remote{r}, true), path)
	if err != nil {
		return 0, 0, err
	}
	p := told[r.Host]
	n := float64(p.Bytes)
	return n / (p.Seconds - p.Install), n / p.Seconds, nil
}

func (b *bench) report(https bool, w ways) {
	name := "sealed"
	if https {
		name = "tls"
	}
	push := median(w.push)
	mb := func(what string, r float64) {
		b.row(name+" "+what, fmt.Sprintf("%.2f MB/s", r/1e6), fmt.Sprintf("%.2f", push/r))
	}
	mb("push, to the verified content", push)
	mb("push, to the installed release", median(w.whole))
	mb("ceiling: full envelopes, thrown away", median(w.ceiling))
	mb("Ansible: pywinrm, lines of doubled base64", median(w.ansible))
	mb("its lines over our transport", median(w.doubled))
	mb("winrmcp: echo and append", median(w.echo))
	b.lower("vs_echo", push/median(w.echo))
	b.lower("vs_ansible", push/median(w.ansible))
	b.lower("of_ceiling", push/median(w.ceiling))
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

func (b *bench) version() string {
	b.versions++
	return fmt.Sprintf("1.0.%d", b.versions)
}

func (b *bench) variant() []byte { return variant(b.exe, uint64(time.Now().UnixNano())) }
