package pipeline

import (
	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/host/rpc"
)

// previewed tells where a release that waits can be looked at.
func (p *Pipeline) previewed() string {
	if at := p.Target.Traffic.PreviewPort; at != "" {
		return "; the new release alone answers at " + at + " of each host"
	}
	return ""
}

// watch is how the router looks after the slots and what it tells. What is
// not asked for is left out, its defaults too.
func watch(t config.Traffic) rpc.Watch {
	w := rpc.Watch{SlowStart: t.SlowStart, ClientKey: rpc.ClientKey(t.ClientKey), Metrics: t.Metrics, Preview: t.PreviewPort}
	if t.Health.HTTP != "" || t.Health.TCP {
		w.Health = rpc.Health(t.Health)
	}
	if t.Outlier.Failures > 0 {
		w.Outlier = rpc.Outlier(t.Outlier)
	}
	if l := t.AccessLog; l.Enabled {
		w.AccessLog = rpc.AccessLog{On: true, MaxBytes: int64(l.MaxMB) << 20, MaxAge: l.MaxAge, Keep: l.Keep}
	}
	return w
}
