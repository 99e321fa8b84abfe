package host

import (
	"context"
	"errors"
	"time"

	"github.com/go-shipper/shipper/host/router"
	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/host/scm"
	"github.com/go-shipper/shipper/release"
)

// status is the record and, beside it, what is really so.
func (s *service) status(ctx context.Context) (rpc.ServiceStatus, error) {
	v := rpc.ServiceStatus{Service: s.name, Known: true, Slots: map[release.Slot]rpc.SlotStatus{}}
	managed := false
	err := s.do(ctx, func() error {
		s.recorded(&v)
		_, managed = s.route()
		return nil
	})
	if err != nil {
		return v, err
	}
	for slot, st := range v.Slots {
		live, err := s.g.opts.SCM.Status(ctx, slot.Service(s.name))
		if err != nil {
			return v, err
		}
		st.Live = instance(live)
		if slot != v.Stable && live.State == scm.Running { // a way back by a flip
			if rev, err := s.kept(st.Revision); err == nil {
				st.Fingerprints = rev.Fingerprints
			}
		}
		v.Slots[slot] = st
	}
	if managed {
		s.traffic(ctx, &v)
	}
	return v, nil
}

func (s *service) recorded(v *rpc.ServiceStatus) {
	st := s.st.clone()
	v.Environment, v.Stable, v.Retained, v.Frozen = st.Environment, st.Stable, st.Retained, st.Frozen
	v.Trusted = st.Trust.IDs()
	v.Notes, v.Ports, v.Config = st.Notes, st.Ports, st.Traffic
	if s.broken != nil {
		v.Notes = append(v.Notes, s.broken.Error())
	}
	for slot, rec := range st.Slots {
		v.Slots[slot] = rpc.SlotStatus{Release: rec.Release, Revision: rec.Revision, Port: rec.Port}
	}
	if !st.Warm.IsZero() {
		v.WarmFor = max(0, st.Warm.Sub(s.g.now()))
	}
	if s.ses != nil {
		session := s.session()
		v.Session = &session
	}
	if st.Run != nil {
		run := st.Run.RunStatus
		v.Run = &run
	}
}

// traffic asks the router; a host whose router is silent still has a status.
func (s *service) traffic(ctx context.Context, v *rpc.ServiceStatus) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	view, err := s.g.opts.Router.Get(ctx, s.name)
	switch {
	case errors.Is(err, router.ErrNotFound):
	case err != nil:
		v.Notes = append(v.Notes, "the router does not answer: "+err.Error())
	default:
		t := traffic(view)
		v.Traffic = &t
		if view.Problem != "" {
			v.Notes = append(v.Notes, "the public address is not served: "+view.Problem)
		}
		v.Notes = append(v.Notes, unwell(view)...)
	}
}
