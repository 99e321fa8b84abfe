package service

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"
)

// Serve is an HTTP service as a [Func] wants it: it listens on address, calls
// [Service.Ready], answers probes and gives the rest to h ([Service.Handler]),
// and after the end of ctx answers what is in flight within the drain time.
// Under systemd a socket that was handed over takes the place of address.
func Serve(ctx context.Context, address string, h http.Handler) error {
	return ServeHTTP(ctx, address, &http.Server{Handler: h})
}

// ServeHTTP is [Serve] with a server of one's own, whose Handler is wrapped by
// [Service.Handler]. A ReadHeaderTimeout of zero becomes 10 s, an IdleTimeout
// of zero 90 s. It serves TLS if its TLSConfig has certificates. Each wrap gets
// the listener before it is served: the Listen of a reload.Limiter
// bounds the connections.
func ServeHTTP(ctx context.Context, address string, srv *http.Server, wrap ...func(net.Listener) net.Listener) error {
	s := From(ctx)
	l, err := s.Listen(ctx, address)
	if err != nil {
		return err
	}
	for _, around := range wrap {
		l = around(l)
	}
	return ServeOn(ctx, l, srv)
}

// ServeOn is [ServeHTTP] with a listener of one's own.
func ServeOn(ctx context.Context, l net.Listener, srv *http.Server) error {
	s := From(ctx)
	srv.Handler = s.Handler(srv.Handler)
	if srv.ReadHeaderTimeout == 0 {
		srv.ReadHeaderTimeout = 10 * time.Second
	}
	if srv.IdleTimeout == 0 {
		srv.IdleTimeout = 90 * time.Second
	}
	failed := make(chan error, 1)
	go func() { failed <- serve(srv, l) }()
	s.Ready()
	s.log.Info("serving", "address", l.Addr().String())
	select {
	case err := <-failed:
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	limited, cancel := s.Drain(ctx)
	defer cancel()
	if err := srv.Shutdown(limited); err != nil {
		return fmt.Errorf("shut down: %w", errors.Join(err, srv.Close()))
	}
	return nil
}

func serve(srv *http.Server, l net.Listener) error {
	if c := srv.TLSConfig; c != nil && (len(c.Certificates) > 0 || c.GetCertificate != nil) {
		return srv.ServeTLS(l, "", "")
	}
	return srv.Serve(l)
}

// Listen gives the next socket that systemd handed over, or listens on
// address: host:port. An empty address is [Address].
func (s *Service) Listen(ctx context.Context, address string) (net.Listener, error) {
	if l := s.takeSocket(""); l != nil {
		return l, nil
	}
	if address == "" {
		address = Address()
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	return l, nil
}

// Socket gives the socket that systemd handed over under a name
// (FileDescriptorName=), or nil. Each can be had once.
func (s *Service) Socket(name string) net.Listener { return s.takeSocket(name) }

// Address is where this instance is to listen, as shipper says: SHIPPER_LISTEN,
// else 127.0.0.1 and PORT, else 127.0.0.1:8080.
func Address() string {
	if a := os.Getenv("SHIPPER_LISTEN"); a != "" {
		return a
	}
	if p := os.Getenv("PORT"); p != "" {
		return net.JoinHostPort("127.0.0.1", p)
	}
	return "127.0.0.1:8080"
}

// namedListener is a socket from systemd.
type namedListener struct {
	name string
	net.Listener
}

// takeSocket takes the first socket of that name, or of any for "".
func (s *Service) takeSocket(name string) net.Listener {
	s.socketsMu.Lock()
	defer s.socketsMu.Unlock()
	for i, l := range s.sockets {
		if name == "" || l.name == name {
			s.sockets = append(s.sockets[:i:i], s.sockets[i+1:]...)
			return l.Listener
		}
	}
	return nil
}
