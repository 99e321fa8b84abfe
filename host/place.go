package host

import (
	"context"
	"net"
	"reflect"
	"strings"

	"github.com/go-shipper/shipper/host/router"
	"github.com/go-shipper/shipper/host/rpc"
)

// mayMove refuses a public address, or a part of one, that the router will
// only take at the commit, when it is too late to refuse.
func (s *service) mayMove(ctx context.Context, now, next rpc.TrafficConfig) error {
	if next.Router != embedded || next.Listen == now.Listen && reflect.DeepEqual(next.Public, now.Public) {
		return nil
	}
	views, err := s.g.opts.Router.List(ctx)
	if err != nil {
		return err
	}
	want, served := router.Route{Service: s.name, Listen: next.Listen, Public: next.Public}, false
	for _, v := range views {
		if v.Service == s.name {
			continue
		}
		if why := router.Collide(v.Route, want); why != "" {
			return rpc.Errorf(rpc.CodeConflict, "choose another traffic.listen, or hosts or a path of its own",
				"the new public address is not free: service %s %s", v.Service, why)
		}
		served = served || v.Listen == next.Listen
	}
	if served || port(next.Listen) == port(now.Listen) {
		return nil
	}
	return canListen(ctx, next.Listen)
}

// port is what two public addresses must not share with anybody else; on the
// same port the router itself is in the way of a try.
func port(address string) string { return address[strings.LastIndexByte(address, ':')+1:] }

func canListen(ctx context.Context, address string) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return rpc.Errorf(rpc.CodeConflict, "choose another traffic.listen", "the new public address is not free: %v", err)
	}
	return l.Close()
}
