package sspi

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/windows"
)

// Available tells whether this system has security packages.
const Available = true

// Context is one logon and, after it, what seals messages in order. It is for
// one goroutine at a time.
type Context struct {
	target      *uint16
	want        uint32
	binding     []byte
	credentials handle
	context     handle
	begun       bool
	sizes       sizes
}

// New begins a logon to a service, as HTTP/web1.example.com. seal asks for
// keys; channel is what the logon is bound to (RFC 5929), nil without TLS.
func New(name, service string, seal bool, channel []byte) (*Context, error) {
	target, err := windows.UTF16PtrFromString(service)
	if err != nil {
		return nil, err
	}
	pkg, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return nil, err
	}
	c := &Context{target: target, want: wantIntegrity | wantReplay | wantSequence}
	if name == Kerberos {
		c.want |= wantMutual
	}
	if seal {
		c.want |= wantSealing
	}
	if channel != nil {
		c.binding = bindings(channel)
	}
	var expiry windows.Filetime
	status, _, _ := procAcquire.Call(0, uintptr(unsafe.Pointer(pkg)), outbound, 0, 0, 0, 0, uintptr(unsafe.Pointer(&c.credentials)), uintptr(unsafe.Pointer(&expiry)))
	if failed(status) {
		return nil, fmt.Errorf("%w: package %s: %w", ErrNoLogon, name, reason(status))
	}
	return c, nil
}

// Step takes the host's last token, nil at first, and gives the next one.
// done says that the host has proved what it must.
func (c *Context) Step(answer []byte) (token []byte, done bool, err error) {
	in := c.input(answer)
	out := []buffer{bufferOf(bufferToken, make([]byte, maxToken))}
	var attributes uint32
	var expiry windows.Filetime
	var existing *handle
	if c.begun {
		existing = &c.context
	}
	status, _, _ := procInitialize.Call(uintptr(unsafe.Pointer(&c.credentials)), uintptr(unsafe.Pointer(existing)), uintptr(unsafe.Pointer(c.target)), uintptr(c.want), 0, nativeData,
		uintptr(unsafe.Pointer(describe(in))), 0, uintptr(unsafe.Pointer(&c.context)), uintptr(unsafe.Pointer(describe(out))), uintptr(unsafe.Pointer(&attributes)), uintptr(unsafe.Pointer(&expiry)))
	if failed(status) {
		return nil, false, fmt.Errorf("%w: %w", ErrNoLogon, reason(status))
	}
	c.begun = true
	token = unsafe.Slice(out[0].data, out[0].size)
	if uint32(status) == continueNeeded {
		return token, false, nil
	}
	return token, true, c.finish(attributes)
}

// input is the answer, and what the logon is bound to.
func (c *Context) input(answer []byte) []buffer {
	var in []buffer
	if len(answer) > 0 {
		in = append(in, bufferOf(bufferToken, answer))
	}
	if c.binding != nil {
		in = append(in, bufferOf(bufferBindings, c.binding))
	}
	return in
}

// finish checks that the logon is as strong as was asked for.
func (c *Context) finish(attributes uint32) error {
	const must = wantMutual | wantSealing | wantIntegrity
	if missing := c.want & must &^ attributes; missing != 0 {
		return fmt.Errorf("%w: flags %#x are missing", ErrWeak, missing)
	}
	if status, _, _ := procQuery.Call(uintptr(unsafe.Pointer(&c.context)), querySizes, uintptr(unsafe.Pointer(&c.sizes))); failed(status) {
		return fmt.Errorf("query sizes: %w", reason(status))
	}
	return nil
}

// Seal appends the signature and the cipher text of plain to dst, and tells
// the length of the signature.
func (c *Context) Seal(dst, plain []byte) ([]byte, int, error) {
	token, data, padding := make([]byte, c.sizes.trailer), append([]byte(nil), plain...), make([]byte, c.sizes.block)
	b := []buffer{bufferOf(bufferToken, token), bufferOf(bufferData, data), bufferOf(bufferPadding, padding)}
	if status, _, _ := procEncrypt.Call(uintptr(unsafe.Pointer(&c.context)), 0, uintptr(unsafe.Pointer(describe(b))), 0); failed(status) {
		return dst, 0, fmt.Errorf("seal: %w", reason(status))
	}
	if b[2].size > 0 {
		return dst, 0, fmt.Errorf("seal: the cipher pads messages")
	}
	return append(append(dst, token[:b[0].size]...), data...), int(b[0].size), nil
}

// Open gives the plain text of a message, in the message's memory.
func (c *Context) Open(signature, sealed []byte) ([]byte, error) {
	b := []buffer{bufferOf(bufferToken, signature), bufferOf(bufferData, sealed), {kind: bufferPadding}}
	var quality uint32
	if status, _, _ := procDecrypt.Call(uintptr(unsafe.Pointer(&c.context)), uintptr(unsafe.Pointer(describe(b))), 0, uintptr(unsafe.Pointer(&quality))); failed(status) {
		return nil, fmt.Errorf("open: %w", reason(status))
	}
	if quality&signedOnly != 0 {
		return nil, fmt.Errorf("open: %w", ErrWeak)
	}
	return unsafe.Slice(b[1].data, b[1].size), nil
}

// Close frees what Windows keeps.
func (c *Context) Close() {
	if c.begun {
		_, _, _ = procDelete.Call(uintptr(unsafe.Pointer(&c.context)))
	}
	_, _, _ = procRelease.Call(uintptr(unsafe.Pointer(&c.credentials)))
}
