package rpc

import (
	"context"
	"time"
)

// MethodHook runs a program of the release on the host.
const MethodHook = "run.hook" // Hook → HookReply

// Hook is a program of the release that Start names, at a stage of its run.
// It runs under the account of the slots, with their environment and secrets.
type Hook struct {
	Start
	Name    string            `json:"name"`
	Stage   string            `json:"stage"`
	Command []string          `json:"command"` // the program's path in the release, and its arguments
	Vars    map[string]string `json:"vars,omitempty"`
	Limit   time.Duration     `json:"limit"`
}

// HookReply tells how the program ended; what it printed stays on the host.
type HookReply struct {
	Exit   uint32 `json:"exit"`
	Millis int64  `json:"millis"`
}

// Hook runs a program of the release to its end.
func (c *Client) Hook(ctx context.Context, p Hook) (HookReply, error) {
	return call[HookReply](ctx, c, MethodHook, p)
}
