//go:build !windows

package sspi

// Available tells whether this system has security packages.
const Available = false

// Context is one logon; there is none here.
type Context struct{}

// New fails with ErrUnavailable.
func New(string, string, bool, []byte) (*Context, error) { return nil, ErrUnavailable }

// Step fails with ErrUnavailable.
func (*Context) Step([]byte) ([]byte, bool, error) { return nil, false, ErrUnavailable }

// Seal fails with ErrUnavailable.
func (*Context) Seal(dst, _ []byte) ([]byte, int, error) { return dst, 0, ErrUnavailable }

// Open fails with ErrUnavailable.
func (*Context) Open(_, _ []byte) ([]byte, error) { return nil, ErrUnavailable }

// Close does nothing.
func (*Context) Close() {}
