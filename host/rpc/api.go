// Package rpc is the protocol between the controller and the guard on a host,
// and nothing else: frames (frame.go), the calls (this file), a client for
// the controller and a server loop for the guard. docs/PROTOCOL.md tells it
// in words.
package rpc

import (
	"time"

	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/release"
)

// Protocol is the version that hello frames and state files carry. A
// controller speaks this one and the one before.
const Protocol = 1

// Methods. All that change something carry a Fence where their parameters
// have one; a lower fence than the session's is refused with CodeFenced. All
// are idempotent, keyed by run and revision: "lost" becomes "ask again".
const (
	MethodStatus         = "service.status"     // ServiceRef → ServiceStatus
	MethodList           = "service.list"       // none → []string
	MethodAcquire        = "session.acquire"    // Acquire → Session
	MethodRenew          = "session.renew"      // Fenced → Renewed
	MethodReleaseSession = "session.release"    // Ended → none
	MethodRequest        = "session.request"    // Ask → none (stored; comes back in the reply to the next renewal)
	MethodHave           = "store.have"         // Have → HaveReply
	MethodPut            = "store.put"          // Put, then data frames → PutReply
	MethodInstall        = "release.install"    // Install → none (complete, flushed, verified)
	MethodStart          = "slot.start"         // Start → Started
	MethodKeep           = "slot.keep"          // Start → none (the revision is kept, nothing starts: a run that is parked before can go on)
	MethodReplace        = "slot.replace"       // Start → Started (stable is stopped first; leased, undo starts it again)
	MethodCheck          = "slot.check"         // Check → CheckReply
	MethodTraffic        = "traffic.set"        // SetTraffic → Traffic
	MethodHold           = "traffic.hold"       // Hold → Traffic
	MethodCounters       = "traffic.counters"   // ServiceRef → Counters
	MethodPrepare        = "run.prepare"        // Fenced → none
	MethodCommit         = "run.commit"         // Commit → Committed
	MethodUndo           = "run.undo"           // Undo → Undone
	MethodPark           = "run.park"           // Park → none
	MethodAppend         = "journal.append"     // Append → none
	MethodRead           = "journal.read"       // Read → []journal.Record
	MethodLogs           = "logs.read"          // Logs → LogsReply
	MethodRollback       = "service.rollback"   // Rollback → Undone (break-glass: this host only, no fence)
	MethodFreeze         = "service.freeze"     // Freeze → none (refuses new sessions until thawed)
	MethodForgetKeys     = "service.forgetKeys" // ForgetKeys → none (break-glass: the next deploy brings the trusted keys)
	MethodPrune          = "service.prune"      // Prune → PruneReply
	MethodRemove         = "service.remove"     // Remove → none
	MethodRouter         = "router.change"      // ChangeRouter → RouterState
	MethodReady          = "host.ready"         // none → Readiness
)

// Codes of errors that callers decide on.
const (
	CodeLocked       = "locked"       // another run holds the session: Error.Session says who
	CodeFenced       = "fenced"       // the caller's fence is lower than the session's
	CodeNotFound     = "not_found"    // service, revision, run, file
	CodeConflict     = "conflict"     // another environment uses the name; port taken; frozen
	CodeVerification = "verification" // a digest or signature is wrong
	CodeDiskFull     = "disk_full"
	CodeDenied       = "denied"      // rights on the host
	CodeUnhealthy    = "unhealthy"   // the instance died, does not listen, failed its check
	CodeProtocol     = "protocol"    // versions do not meet
	CodeUnsupported  = "unsupported" // unknown method
	CodeFailed       = "failed"
)

// Error is an error that crossed the wire.
type Error struct {
	Code    string   `json:"code"`
	Message string   `json:"message"`
	Hint    string   `json:"hint,omitempty"`
	Session *Session `json:"session,omitempty"`
}

func (e *Error) Error() string { return e.Message }

// Hello opens a connection.
type Hello struct {
	Protocol int    `json:"protocol"`
	Version  string `json:"version"`
	Name     string `json:"name,omitempty"` // of this connection, random; Client fills it in
	Lane     string `json:"lane,omitempty"` // this connection only brings data for the one of that name
}

// HelloReply tells what answers.
type HelloReply struct {
	Protocol int            `json:"protocol"`
	Version  string         `json:"version"`
	Helper   release.Digest `json:"helper"` // digest of the guard's own executable
	Machine  string         `json:"machine"`
	Boot     string         `json:"boot"` // changes with every boot
	Hostname string         `json:"hostname"`
	OS       string         `json:"os"`
	Arch     string         `json:"arch"`
	Time     time.Time      `json:"time"`
	DiskFree int64          `json:"diskFree"` // bytes on the volume of the releases
	Lanes    int            `json:"lanes"`    // how many a connection may have
}

// ServiceRef names a service on the host.
type ServiceRef struct {
	Service string `json:"service"`
	Usage   bool   `json:"usage,omitempty"` // of counters: what the instances use, which costs a look at all processes
}

// Fenced is a call inside a session.
type Fenced struct {
	Service string `json:"service"`
	Run     string `json:"run"`
	Fence   int64  `json:"fence"`
	// Seen is for renewals, and Client fills it in: the last Ask.Seq that
	// arrived. Older requests are not sent again.
	Seen int64 `json:"seen,omitempty"`
}

// Acquire asks for the service's session: lock and lease are one thing. The
// same run from the same owner gets its own session again (idempotent).
type Acquire struct {
	Service     string        `json:"service"`
	Environment string        `json:"environment"`
	Run         string        `json:"run"`
	Verb        string        `json:"verb"` // deploy, rollback, promote, resume, lock, remove, prune
	Owner       string        `json:"owner"`
	Address     string        `json:"address,omitempty"`
	TTL         time.Duration `json:"ttl"`
	Message     string        `json:"message,omitempty"` // of `lock acquire -m`: no TTL, held until released
	Manual      bool          `json:"manual,omitempty"`
	// Account and Client are what the guard knows of the caller; they do not
	// cross the wire.
	Account string `json:"-"`
	Client  string `json:"-"`
}

// Session is the record of who works on a service.
type Session struct {
	Service     string        `json:"service"`
	Environment string        `json:"environment"`
	Run         string        `json:"run"`
	Verb        string        `json:"verb"`
	Fence       int64         `json:"fence"`
	Owner       string        `json:"owner"`
	Address     string        `json:"address,omitempty"`
	Since       time.Time     `json:"since"`
	TTL         time.Duration `json:"ttl"`
	Remaining   time.Duration `json:"remaining"` // of the lease, at the time of the reply
	Message     string        `json:"message,omitempty"`
	Manual      bool          `json:"manual,omitempty"`
	Account     string        `json:"account,omitempty"` // that acts on the host; Owner and Address are claims
	Client      string        `json:"client,omitempty"`  // where its logon came from, if the host can tell
}

// Renewed answers a renewal with what others asked meanwhile.
type Renewed struct {
	Session  Session `json:"session"`
	Requests []Ask   `json:"requests,omitempty"`
}

// Ask is a request to the run that holds the session; it takes no lock.
type Ask struct {
	Service string `json:"service"`
	Kind    string `json:"kind"` // pause | resume | promote | promote-full | abort
	By      string `json:"by,omitempty"`
	Seq     int64  `json:"seq,omitempty"` // given by the guard
}

// Ended frees a session and records how its run ended on this host.
type Ended struct {
	Fenced
	State  string   `json:"state"` // Promoted, RolledBack, Aborted, Failed, Paused
	Why    string   `json:"why,omitempty"`
	Behind []string `json:"behind,omitempty"` // hosts of the fleet that are not where the run ended
	// Freeze, if not empty, says why no other run may begin: the session turns
	// into a lock that only this run, a rollback or a person ends.
	Freeze string `json:"freeze,omitempty"`
}

// Start configures the idle slot with a revision and starts it. It returns
// when the instance's own process listens on the slot's port. The public
// traffic of a new slot is 0.
type Start struct {
	Fenced
	Revision release.Revision  `json:"revision"`
	Secrets  map[string]string `json:"secrets,omitempty"` // written to the revision's protected file, never logged
	Ports    Ports             `json:"ports"`
	Traffic  TrafficConfig     `json:"traffic"`
	Timeout  time.Duration     `json:"timeout"`
	// Kept starts a revision that the host still has (rollback): of Revision
	// only Service and, where Secrets came along, Fingerprints are used then.
	// Those secrets take the place of the kept ones of the same names, which
	// makes another revision of it if they differ.
	Kept release.Digest `json:"kept,omitempty"`
	// Hold is for slot.replace: how long requests wait at most, from the stop
	// of stable until the new slot has their traffic.
	Hold time.Duration `json:"hold,omitempty"`
}

// Ports are the fixed loopback ports of the two slots.
type Ports struct {
	Blue  int `json:"blue"`
	Green int `json:"green"`
}

// TrafficConfig is how the public address of a service is served.
type TrafficConfig struct {
	Router       string        `json:"router"` // embedded | none
	Listen       string        `json:"listen"` // public host:port
	DrainTimeout time.Duration `json:"drainTimeout"`
	Boot         string        `json:"boot"` // hold | refuse
	TunnelGrace  time.Duration `json:"tunnelGrace,omitempty"`
	Firewall     bool          `json:"firewall,omitempty"` // a rule of the Windows Firewall opens the port
	// PreviewFirewall opens that of Preview.
	PreviewFirewall bool `json:"previewFirewall,omitempty"`
	Public
	Watch
}

// Started tells where the revision runs.
type Started struct {
	Slot    release.Slot `json:"slot"`
	PID     uint32       `json:"pid"`
	Port    int          `json:"port"`
	Already bool         `json:"already,omitempty"` // it ran there already
	First   bool         `json:"first,omitempty"`   // the host has no stable slot
	// Revision is what runs there.
	Revision release.Digest `json:"revision,omitempty"`
}

// Check is one smoke check of the slot that the run started; it runs on the
// host, because slots listen on its loopback only, and it counts only if the
// process that listens belongs to the slot.
type Check struct {
	Fenced
	HTTP      string        `json:"http,omitempty"` // path, 2xx is good
	TCP       bool          `json:"tcp,omitempty"`
	Timeout   time.Duration `json:"timeout"`
	Interval  time.Duration `json:"interval"`
	Successes int           `json:"successes"` // in a row
	Deadline  time.Duration `json:"deadline"`  // for the whole check
}

// CheckReply tells what the check saw last.
type CheckReply struct {
	OK     bool   `json:"ok"`
	Detail string `json:"detail"` // "GET /healthz: 200 in 3 ms (3 of 3)"
}

// SetTraffic gives the run's slot a weight, leased until the session's
// deadline, the rest to stable. The reply is read back from the router.
type SetTraffic struct {
	Fenced
	Weight release.Weight `json:"weight"`
}

// Hold lets the service's requests wait, for as long as For and the session's
// lease allow; 0 lets them through again, as does the end of the run. It is
// leased and undone like a weight.
type Hold struct {
	Fenced
	For   time.Duration `json:"for"`
	Limit int           `json:"limit,omitempty"` // requests that wait; more get 503; 0: 10,000
}

// Traffic is what the router really does.
type Traffic struct {
	Weights    map[release.Slot]release.Weight `json:"weights"`
	Leased     bool                            `json:"leased"`
	Generation uint64                          `json:"generation"`
	Held       time.Duration                   `json:"held,omitempty"` // requests wait for so long yet
	Inflight   map[release.Slot]int64          `json:"inflight,omitempty"`
}

// Counters are monotonic totals per slot since Epoch; readers take differences.
type Counters struct {
	Epoch string                         `json:"epoch"` // changes when the router restarts
	At    time.Time                      `json:"at"`
	Slots map[release.Slot]SlotCounters  `json:"slots"`
	Live  map[release.Slot]InstanceState `json:"live"` // the same look at the service manager
	Usage map[release.Slot]*Usage        `json:"usage,omitempty"`
}

// Usage is what an instance's processes use of the host.
type Usage struct {
	CPU     time.Duration `json:"cpu"` // since they began
	Memory  int64         `json:"memory"`
	Handles int64         `json:"handles"`
}

// InstanceState is the service manager's view of a slot.
type InstanceState struct {
	State   string    `json:"state"` // running, stopped, start_pending, stop_pending, paused, absent
	PID     uint32    `json:"pid,omitempty"`
	Started time.Time `json:"started"`
	Exit    uint32    `json:"exit,omitempty"`
}

// Commit makes the run's slot the stable one. The old slot stays warm for
// KeepWarm, then drains and stops.
type Commit struct {
	Fenced
	KeepWarm time.Duration `json:"keepWarm"`
	Retain   int           `json:"retain"` // releases kept; never the current or previous one
	// Rejected marks the revision that was stable until now as bad: a
	// target by --to only.
	Rejected bool `json:"rejected,omitempty"`
	// Behind are hosts of the fleet that the run goes on without.
	Behind []string `json:"behind,omitempty"`
	// Irreversible says that there is no way back behind this release.
	Irreversible bool `json:"irreversible,omitempty"`
}

// Committed answers a commit.
type Committed struct {
	Slot     release.Slot    `json:"slot"`
	Release  release.Release `json:"release"`
	Revision release.Digest  `json:"revision"`
}

// Undo takes the host back to what was stable when the session began.
type Undo struct {
	Fenced
	State string `json:"state"` // RolledBack | Aborted | Failed: how the run ends here
	Why   string `json:"why"`
}

// Undone tells what the host runs now.
type Undone struct {
	Release release.Release `json:"release"`
	Slot    release.Slot    `json:"slot,omitempty"`
	Millis  int64           `json:"millis"`            // until the route was back
	Autopsy string          `json:"autopsy,omitempty"` // folder of what is kept of the release that failed
	Before  string          `json:"before,omitempty"`  // what the run had ended as already, if it had: there was nothing left to take back
}

// Park leaves the new slot running at weight 0 and frees the lock.
type Park struct {
	Fenced
	Why  string        `json:"why"`
	For  time.Duration `json:"for"`
	Step int           `json:"step"`
	// Freeze keeps the session, for Ended to make a freeze of it: in between
	// no other run can begin.
	Freeze bool `json:"freeze,omitempty"`
}

// Append adds records to the run's journal on the host; those whose Seq the
// host has are dropped.
type Append struct {
	Service string           `json:"service"`
	Run     string           `json:"run"`
	Records []journal.Record `json:"records"`
}

// Read asks for a run's records; an empty run is the latest, "*" gives the
// first and last record of every run, oldest first.
type Read struct {
	Service string `json:"service"`
	Run     string `json:"run,omitempty"`
}

// Logs asks for the end of a slot's log, or what came after Offset.
type Logs struct {
	Service string       `json:"service"`
	Slot    release.Slot `json:"slot,omitempty"` // empty: the stable one
	Lines   int          `json:"lines,omitempty"`
	Offset  int64        `json:"offset,omitempty"`
	Failed  bool         `json:"failed,omitempty"` // what is kept of a release that failed, instead
	Run     string       `json:"run,omitempty"`    // in this run; empty: the latest
}

// LogsReply is a piece of a log.
type LogsReply struct {
	Slot   release.Slot `json:"slot"`
	Text   string       `json:"text"`
	Offset int64        `json:"offset"`
}

// Rollback is the break-glass way back on one host, without a controller.
type Rollback struct {
	Service  string `json:"service"`
	By       string `json:"by"`
	Override string `json:"override,omitempty"` // the reason to go back behind a release that is irreversible
}

// Freeze refuses new sessions until thawed.
type Freeze struct {
	Service string `json:"service"`
	By      string `json:"by"`
	Message string `json:"message,omitempty"`
	Thaw    bool   `json:"thaw,omitempty"`
}

// ForgetKeys makes the host forget whose releases it accepts.
type ForgetKeys struct {
	Service string `json:"service"`
	By      string `json:"by"`
}

// Prune removes releases beyond Keep, never one that anything still names.
type Prune struct {
	Fenced
	Keep   int  `json:"keep"`
	DryRun bool `json:"dryRun,omitempty"`
}

// PruneReply lists what went, and what stayed.
type PruneReply struct {
	Removed []string `json:"removed"`
	Kept    []string `json:"kept"`
	Bytes   int64    `json:"bytes"`
}

// Remove takes a service off the host without a trace.
type Remove struct {
	Fenced
}

// What ChangeRouter does.
const (
	RouterLook    = "look"
	RouterRestart = "restart" // the same program takes over from itself
	RouterUpgrade = "upgrade" // the newest program that is here does, if it is newer
)

// ChangeRouter lets another router take over from the one that serves all
// services of the host, without losing a connection.
type ChangeRouter struct {
	Do string `json:"do"`
	By string `json:"by"`
	// Helper and Version are what the caller brought, and of which version it
	// is itself: how the host learns what is newer. May be empty.
	Helper  release.Digest `json:"helper,omitempty"`
	Version string         `json:"version,omitempty"`
}

// RouterState is the router that serves.
type RouterState struct {
	Service   string         `json:"service"`
	PID       int            `json:"pid"`
	Helper    release.Digest `json:"helper"`              // what it runs
	Version   string         `json:"version,omitempty"`   // if any controller told
	Finishing bool           `json:"finishing,omitempty"` // the one before still has requests
	Changed   bool           `json:"changed,omitempty"`   // by this call
}

// ServiceStatus is all a host knows about a service.
type ServiceStatus struct {
	Service     string                      `json:"service"`
	Environment string                      `json:"environment,omitempty"`
	Known       bool                        `json:"known"` // false: nothing of it here
	Stable      release.Slot                `json:"stable,omitempty"`
	Slots       map[release.Slot]SlotStatus `json:"slots,omitempty"`
	Traffic     *Traffic                    `json:"traffic,omitempty"`
	Ports       Ports                       `json:"ports"`  // committed, of both slots
	Config      TrafficConfig               `json:"config"` // committed; a weight never changes it
	Session     *Session                    `json:"session,omitempty"`
	Run         *RunStatus                  `json:"run,omitempty"` // the latest
	Retained    []Retained                  `json:"retained,omitempty"`
	WarmFor     time.Duration               `json:"warmFor,omitempty"` // the idle slot stays warm
	Frozen      string                      `json:"frozen,omitempty"`
	Trusted     []string                    `json:"trusted,omitempty"` // IDs of the keys that releases must be signed by
	Notes       []string                    `json:"notes,omitempty"`   // restored image, clock, corrupt file …
}

// SlotStatus is one slot, as recorded and as it really is.
type SlotStatus struct {
	Release  release.Release `json:"release"`
	Revision release.Digest  `json:"revision"`
	Port     int             `json:"port"`
	Live     InstanceState   `json:"live"`
	// Fingerprints of the secrets that an idle slot runs with.
	Fingerprints map[string]string `json:"fingerprints,omitempty"`
}

// RunStatus is how the latest run stands on this host.
type RunStatus struct {
	ID       string          `json:"id"`
	Verb     string          `json:"verb"`
	State    string          `json:"state"` // Running, Paused, Promoted, RolledBack, Aborted, Failed, Lost
	Phase    string          `json:"phase"` // locked, started, shifting, prepared, committed, undone, parked
	Release  release.Release `json:"release"`
	Revision release.Digest  `json:"revision"`
	Why      string          `json:"why,omitempty"`
	Behind   []string        `json:"behind,omitempty"` // hosts that the run left behind, or that owe a way back
	Step     int             `json:"step,omitempty"`
	Since    time.Time       `json:"since"`
	Ended    time.Time       `json:"ended"`
}

// Retained is a revision the host can still go back to.
type Retained struct {
	Revision  release.Digest  `json:"revision"`
	Release   release.Release `json:"release"`
	Committed time.Time       `json:"committed"`
	Rejected  bool            `json:"rejected,omitempty"`
	// Irreversible: what was committed before it is no way back any more.
	Irreversible bool `json:"irreversible,omitempty"`
}
