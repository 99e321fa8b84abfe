// Package consul keeps a service registered with the Consul agent of its
// machine: with a TTL check that says how the service is, again after the
// agent lost it, and no longer once the service stops.
//
//	service.Main("orders", app, service.WithPart(consul.New(consul.Options{Address: "10.0.0.7", Port: 8080})))
//
// It speaks the three calls of the agent's HTTP API that this takes.
package consul

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-shipper/shipper/service"
)

// Options of a registration. The zero value registers the service by its name
// with the agent at 127.0.0.1:8500.
type Options struct {
	// Agent is the agent's URL. Default: CONSUL_HTTP_ADDR (an address or a URL),
	// else http://127.0.0.1:8500.
	Agent string
	// Token is the ACL token. Default: CONSUL_HTTP_TOKEN.
	Token string
	// Client asks the agent. Default: one of its own, without a proxy.
	Client *http.Client
	// ID is one of a kind on the agent. Default: the name, and the slot after
	// a hyphen where there is one.
	ID string
	// Name of the service. Default: that of the service.
	Name string
	// Endpoint is where it listens, host:port: the default of the two below,
	// where it has them.
	Endpoint string
	// Address that others reach it at. Default: the agent's.
	Address string
	// Port that others reach it at; 0 is none.
	Port int
	// Tags of it; nil: none. Its version, slot and role are metadata already.
	Tags []string
	// TTL within which the agent wants to hear of it; it does so three times in
	// that time. Default 15 s.
	TTL time.Duration
	// DeregisterAfter is when the agent forgets a service that it has not heard
	// of. Consul's least is 1 min. Default 10 min.
	DeregisterAfter time.Duration
}

// Part is the registration, for service.WithPart. It never fails a service:
// an agent that is not there is told in the log, once, and tried again.
type Part struct {
	o       Options
	s       *service.Service
	changed chan struct{}
	cancel  context.CancelFunc
	beating sync.WaitGroup
	lost    bool // the agent did not answer last time
}

// New makes the registration; Start begins it.
func New(o Options) *Part { return &Part{o: o, changed: make(chan struct{}, 1)} }

func (o Options) withDefaults(s *service.Service) (Options, error) {
	if o.Agent == "" {
		o.Agent = os.Getenv("CONSUL_HTTP_ADDR")
	}
	if o.Agent == "" {
		o.Agent = "127.0.0.1:8500"
	}
	if !strings.Contains(o.Agent, "://") {
		o.Agent = "http://" + o.Agent
	}
	if u, err := url.Parse(o.Agent); err != nil || u.Host == "" {
		return o, fmt.Errorf("consul: %q is no agent's URL", o.Agent)
	}
	if o.Token == "" {
		o.Token = os.Getenv("CONSUL_HTTP_TOKEN")
	}
	if o.Client == nil {
		o.Client = &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
			DialContext: (&net.Dialer{Timeout: 5 * time.Second}).DialContext, MaxIdleConns: 1, IdleConnTimeout: time.Minute}}
	}
	if o.Name == "" {
		o.Name = s.Name()
	}
	if o.ID == "" {
		o.ID = o.Name
		if s.Slot() != "" {
			o.ID += "-" + s.Slot()
		}
	}
	if host, port, err := net.SplitHostPort(o.Endpoint); err == nil {
		if ip := net.ParseIP(host); o.Address == "" && ip != nil && !ip.IsUnspecified() {
			o.Address = host
		}
		if n, err := strconv.Atoi(port); o.Port == 0 && err == nil {
			o.Port = n
		}
	}
	if o.TTL == 0 {
		o.TTL = 15 * time.Second
	}
	if o.DeregisterAfter == 0 {
		o.DeregisterAfter = 10 * time.Minute
	}
	if o.TTL < 30*time.Millisecond || o.Port < 0 || o.Port > 65535 {
		return o, fmt.Errorf("consul: TTL %s or port %d is out of range", o.TTL, o.Port)
	}
	return o, nil
}

// Start implements service.App. Its errors are those of wrong options.
func (p *Part) Start(ctx context.Context) error {
	p.s = service.From(ctx)
	var err error
	if p.o, err = p.o.withDefaults(p.s); err != nil {
		return err
	}
	p.s.OnState(func(service.Transition) { p.wake() })
	p.s.OnRole(func(service.Role) { p.wake() })
	beating, cancel := context.WithCancel(context.WithoutCancel(ctx)) // Stop ends it, after the app
	p.cancel = cancel
	p.beating.Go(func() { p.beat(beating) })
	return nil
}

// Stop implements service.App: it takes the registration away.
func (p *Part) Stop(ctx context.Context) error {
	p.cancel()
	p.beating.Wait()
	err := p.call(ctx, http.MethodPut, "/v1/agent/service/deregister/"+url.PathEscape(p.o.ID), nil)
	if err != nil && !errors.Is(err, errUnknown) {
		p.s.Logger().Warn("not taken out of Consul: it forgets by itself", "error", err, "after", p.o.DeregisterAfter)
	}
	return nil
}

func (p *Part) wake() {
	select {
	case p.changed <- struct{}{}:
	default:
	}
}

// beat tells the agent of every change, and three times in the TTL.
func (p *Part) beat(ctx context.Context) {
	tick := time.NewTicker(p.o.TTL / 3)
	defer tick.Stop()
	registered := service.Role("none yet")
	for {
		registered = p.tell(ctx, registered)
		select {
		case <-p.changed:
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// tell renews the check, and registers first where the agent does not know
// the service, as after its restart, or the role is another. It returns the
// role that is registered.
func (p *Part) tell(ctx context.Context, registered service.Role) service.Role {
	if p.s.State().To == service.Init {
		return registered // nobody is to come yet
	}
	role := p.s.Role()
	var err error
	if role == registered {
		if err = p.renew(ctx); !errors.Is(err, errUnknown) {
			p.note(ctx, err)
			return registered
		}
	}
	if err = p.register(ctx, role); err == nil {
		registered, err = role, p.renew(ctx)
	}
	p.note(ctx, err)
	return registered
}

// note tells when the agent is lost, and when it is found again.
func (p *Part) note(ctx context.Context, err error) {
	switch {
	case ctx.Err() != nil:
	case err != nil && !p.lost:
		p.s.Logger().Warn("Consul does not take the service", "error", err)
	case err == nil && p.lost:
		p.s.Logger().Info("Consul has the service again")
	}
	p.lost = err != nil
}

func (p *Part) register(ctx context.Context, role service.Role) error {
	type check struct {
		CheckID                        string
		Name                           string
		TTL                            string
		DeregisterCriticalServiceAfter string
	}
	return p.call(ctx, http.MethodPut, "/v1/agent/service/register?replace-existing-checks=true", struct {
		ID, Name string
		Address  string `json:",omitempty"`
		Port     int    `json:",omitempty"`
		Tags     []string
		Meta     map[string]string
		Check    check
	}{p.o.ID, p.o.Name, p.o.Address, p.o.Port, p.o.Tags,
		map[string]string{"version": p.s.Version(), "slot": p.s.Slot(), "role": string(role)},
		check{p.checkID(), "the service says so itself", p.o.TTL.String(), p.o.DeregisterAfter.String()}})
}

func (p *Part) checkID() string { return "service:" + p.o.ID }

// renew says how the service is: passing, warning while degraded, critical
// when it may not be given work.
func (p *Part) renew(ctx context.Context) error {
	t := p.s.State()
	status := "critical"
	switch {
	case !p.s.ReadyForWork():
	case t.To == service.Degraded:
		status = "warning"
	default:
		status = "passing"
	}
	return p.call(ctx, http.MethodPut, "/v1/agent/check/update/"+url.PathEscape(p.checkID()), struct{ Status, Output string }{
		status, string(t.To) + ": " + t.Reason})
}
