package router

import (
	"errors"
	"net/http"

	"github.com/go-shipper/shipper/host/rpc"
)

// A preview is an address at which the slot that Shown names answers, and no
// other. It is like a public front in all but one: it is not handed over to a
// successor, which takes the address when it is free.

// keepPreviews listens where routes want it, and nowhere else. An address that
// is not free is tried again. The caller holds mu.
func (r *Router) keepPreviews() {
	for name, f := range r.previews {
		if s := r.services[name]; s == nil || s.preview() != f.listen || r.closed || r.passing {
			r.endPreview(name, f)
		}
	}
	for name, s := range r.services {
		switch f := r.previews[name]; {
		case s.preview() == "" || r.closed || r.passing:
			s.previewProblem = ""
		case f != nil:
			f.routes.Store(s.alone())
		default:
			r.openPreview(s)
		}
	}
}

func (s *service) preview() string { return s.table.Load().route.Preview }

// alone is the service without others beside it, whatever name and path
// requests have.
func (s *service) alone() *routes {
	t := s.table.Load()
	only := &routes{hosts: map[string][]place{"": {{"", s}}}}
	if t.route.Mode == rpc.ModeTCP {
		only.tcp = s
	}
	if t.certs != nil {
		only.secure, only.certs = true, append(only.certs, t.certs)
	}
	return only
}

func (r *Router) openPreview(s *service) {
	f, err := bind(r.ctx, r.env, s.preview())
	if err != nil && s.previewProblem == "" {
		r.env.Log.Error("the preview is not served", "service", s.name, "err", err)
	}
	s.previewProblem = textOf(err)
	if err != nil {
		return
	}
	f.preview = true
	f.routes.Store(s.alone())
	r.previews[s.name] = f
	r.background.Go(func() {
		if err := f.serve(); !errors.Is(err, http.ErrServerClosed) {
			r.losePreview(s.name, f)
		}
	})
}

// endPreview frees the address at once; what came in finishes.
func (r *Router) endPreview(service string, f *front) {
	delete(r.previews, service)
	f.listener.Close()
	r.background.Go(func() { f.drain(DefaultDrain) })
}

// losePreview forgets a front whose listener broke.
func (r *Router) losePreview(name string, f *front) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.previews[name] == f {
		delete(r.previews, name)
	}
}
