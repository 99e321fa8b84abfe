package pipeline

import (
	"maps"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/journal"
)

// fresh are the secrets as they are now, for a release that the fleet goes
// back to: one that was revoked since is no rescue. Empty: its own.
type fresh struct{ values, prints map[string]string }

// freshSecrets resolves them if that is wanted. A way back never fails for a
// secret that is not to be had: then the hosts use what they keep.
func (p *Pipeline) freshSecrets(s *story) fresh {
	if p.Target.Rollback.Secrets != config.SecretsCurrent || len(p.Target.Service.Secrets) == 0 {
		return fresh{}
	}
	values, err := p.secrets()
	var prints map[string]string
	if err == nil {
		prints, err = fingerprints(p.Target.Service.Name, values)
	}
	if err != nil {
		s.note(journal.TypeWarning, "", "the present secrets are not to be had, the release's own are used: "+err.Error())
		return fresh{}
	}
	return fresh{values, prints}
}

func (f fresh) into(p rpc.Start) rpc.Start {
	p.Secrets, p.Revision.Fingerprints = f.values, f.prints
	return p
}

// differ tells whether a host's idle slot runs with other secrets, so that it
// has to be started anew.
func (f fresh) differ(hosts []HostStatus, name string) bool {
	for _, h := range hosts {
		idle := h.Status.Slots[h.Status.Stable.Other()].Fingerprints
		now := maps.Clone(idle)
		for secret := range now {
			if print, ok := f.prints[secret]; ok {
				now[secret] = print
			}
		}
		if h.Host == name && !maps.Equal(now, idle) {
			return true
		}
	}
	return false
}
