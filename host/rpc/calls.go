package rpc

import (
	"context"

	"github.com/go-shipper/shipper/journal"
)

type none struct{}

// Status tells all the host knows about a service.
func (c *Client) Status(ctx context.Context, p ServiceRef) (ServiceStatus, error) {
	return call[ServiceStatus](ctx, c, MethodStatus, p)
}

// List names the services of the host.
func (c *Client) List(ctx context.Context) ([]string, error) {
	return call[[]string](ctx, c, MethodList, none{})
}

// Acquire takes the service's session: lock and lease.
func (c *Client) Acquire(ctx context.Context, p Acquire) (Session, error) {
	return call[Session](ctx, c, MethodAcquire, p)
}

// Renew extends the lease and brings what others asked meanwhile, each
// request once: the guard repeats them until a renewal told that they came.
func (c *Client) Renew(ctx context.Context, p Fenced) (Renewed, error) {
	key := p.Service + "/" + p.Run
	c.mu.Lock()
	p.Seen = max(p.Seen, c.seen[key])
	c.mu.Unlock()
	reply, err := call[Renewed](ctx, c, MethodRenew, p)
	if err != nil {
		return reply, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	fresh := reply.Requests[:0]
	for _, ask := range reply.Requests {
		if ask.Seq > c.seen[key] {
			c.seen[key] = ask.Seq
			fresh = append(fresh, ask)
		}
	}
	reply.Requests = fresh
	return reply, nil
}

// ReleaseSession frees the session and records how the run ended.
func (c *Client) ReleaseSession(ctx context.Context, p Ended) error {
	_, err := call[none](ctx, c, MethodReleaseSession, p)
	return err
}

// Request stores a request for the run that holds the session.
func (c *Client) Request(ctx context.Context, p Ask) error {
	_, err := call[none](ctx, c, MethodRequest, p)
	return err
}

// Have asks which contents the host still needs.
func (c *Client) Have(ctx context.Context, p Have) (HaveReply, error) {
	return call[HaveReply](ctx, c, MethodHave, p)
}

// Install assembles a release from contents the host has.
func (c *Client) Install(ctx context.Context, p Install) error {
	_, err := call[none](ctx, c, MethodInstall, p)
	return err
}

// Start configures and starts the idle slot.
func (c *Client) Start(ctx context.Context, p Start) (Started, error) {
	return call[Started](ctx, c, MethodStart, p)
}

// Replace is Start for instances that must not live at the same time: stable
// is stopped first, and started again by an undo or the end of the lease.
func (c *Client) Replace(ctx context.Context, p Start) (Started, error) {
	return call[Started](ctx, c, MethodReplace, p)
}

// Check runs one smoke check against the run's slot.
func (c *Client) Check(ctx context.Context, p Check) (CheckReply, error) {
	return call[CheckReply](ctx, c, MethodCheck, p)
}

// SetTraffic gives the run's slot a leased weight.
func (c *Client) SetTraffic(ctx context.Context, p SetTraffic) (Traffic, error) {
	return call[Traffic](ctx, c, MethodTraffic, p)
}

// Hold lets the service's requests wait for a bounded time.
func (c *Client) Hold(ctx context.Context, p Hold) (Traffic, error) {
	return call[Traffic](ctx, c, MethodHold, p)
}

// Counters reads the router's totals and the live state of both slots.
func (c *Client) Counters(ctx context.Context, p ServiceRef) (Counters, error) {
	return call[Counters](ctx, c, MethodCounters, p)
}

// Prepare makes the host promise that it can commit.
func (c *Client) Prepare(ctx context.Context, p Fenced) error {
	_, err := call[none](ctx, c, MethodPrepare, p)
	return err
}

// Commit makes the run's slot the stable one.
func (c *Client) Commit(ctx context.Context, p Commit) (Committed, error) {
	return call[Committed](ctx, c, MethodCommit, p)
}

// Undo takes the host back to what was stable when the session began.
func (c *Client) Undo(ctx context.Context, p Undo) (Undone, error) {
	return call[Undone](ctx, c, MethodUndo, p)
}

// Park leaves the new slot running at weight 0 and frees the lock.
func (c *Client) Park(ctx context.Context, p Park) error {
	_, err := call[none](ctx, c, MethodPark, p)
	return err
}

// Append adds records to the run's journal on the host.
func (c *Client) Append(ctx context.Context, p Append) error {
	_, err := call[none](ctx, c, MethodAppend, p)
	return err
}

// Read returns records of the host's journal.
func (c *Client) Read(ctx context.Context, p Read) ([]journal.Record, error) {
	return call[[]journal.Record](ctx, c, MethodRead, p)
}

// Logs returns a piece of a slot's log.
func (c *Client) Logs(ctx context.Context, p Logs) (LogsReply, error) {
	return call[LogsReply](ctx, c, MethodLogs, p)
}

// Keep leaves a revision with the host, for a Start by whoever goes on.
func (c *Client) Keep(ctx context.Context, p Start) error {
	_, err := call[none](ctx, c, MethodKeep, p)
	return err
}

// Ready asks what about the host speaks against a change now.
func (c *Client) Ready(ctx context.Context) (Readiness, error) {
	return call[Readiness](ctx, c, MethodReady, struct{}{})
}

// Rollback is the break-glass way back on this host alone.
func (c *Client) Rollback(ctx context.Context, p Rollback) (Undone, error) {
	return call[Undone](ctx, c, MethodRollback, p)
}

// ForgetKeys makes the host forget whose releases it accepts.
func (c *Client) ForgetKeys(ctx context.Context, p ForgetKeys) error {
	_, err := call[none](ctx, c, MethodForgetKeys, p)
	return err
}

// Freeze refuses new sessions, or allows them again.
func (c *Client) Freeze(ctx context.Context, p Freeze) error {
	_, err := call[none](ctx, c, MethodFreeze, p)
	return err
}

// Prune removes releases that nothing names.
func (c *Client) Prune(ctx context.Context, p Prune) (PruneReply, error) {
	return call[PruneReply](ctx, c, MethodPrune, p)
}

// ChangeRouter lets another router take over.
func (c *Client) ChangeRouter(ctx context.Context, p ChangeRouter) (RouterState, error) {
	return call[RouterState](ctx, c, MethodRouter, p)
}

// Remove takes a service off the host.
func (c *Client) Remove(ctx context.Context, p Remove) error {
	_, err := call[none](ctx, c, MethodRemove, p)
	return err
}
