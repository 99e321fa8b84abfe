package host

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
)

// Caller is who is at the other end of a connection to the guard, as the
// program there says of its own process. It could read the guard's secret, so
// it has an administrator's rights; who claims to be somebody else there is
// nobody that a journal keeps out.
type Caller struct {
	Account string `json:"account"`           // whose rights the process has
	Address string `json:"address,omitempty"` // where its logon came from; empty: the host does not tell
}

const maxCaller = 1 << 10 // bytes on the wire

func (c Caller) String() string {
	if c.Address == "" {
		return c.Account + "; the host does not tell from where, the controller's address is a claim"
	}
	return c.Account + ", logged on from " + c.Address
}

func (c Caller) write(w io.Writer) error {
	b, err := json.Marshal(c)
	if err == nil && len(b) > maxCaller {
		err = fmt.Errorf("caller of %d bytes", len(b))
	}
	if err == nil {
		_, err = w.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...))
	}
	return err
}

func readCaller(r io.Reader) (c Caller, err error) {
	var size [2]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return c, err
	}
	n := binary.BigEndian.Uint16(size[:])
	if n > maxCaller {
		return c, fmt.Errorf("caller of %d bytes", n)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return c, err
	}
	err = json.Unmarshal(b, &c)
	return c, err
}

type callerKey struct{}

// callerOf is who sent the call that ctx belongs to; empty: an older program.
func callerOf(ctx context.Context) Caller {
	c, _ := ctx.Value(callerKey{}).(Caller)
	return c
}
