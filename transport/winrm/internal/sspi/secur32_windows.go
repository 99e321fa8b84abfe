package sspi

import (
	"encoding/binary"
	"unsafe"

	"golang.org/x/sys/windows"
)

// Names and numbers of sspi.h.
const (
	wantMutual    = 0x2
	wantReplay    = 0x4
	wantSequence  = 0x8
	wantSealing   = 0x10
	wantIntegrity = 0x10000

	maxToken       = 64 << 10 // bytes, the largest that Windows makes
	outbound       = 2
	nativeData     = 0x10
	querySizes     = 0
	continueNeeded = 0x90312
	signedOnly     = 0x80000000

	bufferData     = 1
	bufferToken    = 2
	bufferPadding  = 9
	bufferBindings = 14
)

var (
	secur32        = windows.NewLazySystemDLL("secur32.dll")
	procAcquire    = secur32.NewProc("AcquireCredentialsHandleW")
	procInitialize = secur32.NewProc("InitializeSecurityContextW")
	procQuery      = secur32.NewProc("QueryContextAttributesW")
	procEncrypt    = secur32.NewProc("EncryptMessage")
	procDecrypt    = secur32.NewProc("DecryptMessage")
	procDelete     = secur32.NewProc("DeleteSecurityContext")
	procRelease    = secur32.NewProc("FreeCredentialsHandle")
)

type handle struct{ lower, upper uintptr }

type buffer struct {
	size, kind uint32
	data       *byte
}

type description struct {
	version, count uint32
	buffers        *buffer
}

type sizes struct{ maxToken, maxSignature, block, trailer uint32 }

func describe(b []buffer) *description {
	return &description{count: uint32(len(b)), buffers: unsafe.SliceData(b)}
}

func bufferOf(kind uint32, b []byte) buffer {
	return buffer{size: uint32(len(b)), kind: kind, data: unsafe.SliceData(b)}
}

// bindings is SEC_CHANNEL_BINDINGS: no addresses, and the channel.
func bindings(channel []byte) []byte {
	const header = 32
	b := make([]byte, header-8)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(channel)))
	b = binary.LittleEndian.AppendUint32(b, header)
	return append(b, channel...)
}

// failed tells errors from the kinds of success.
func failed(status uintptr) bool { return status&0x80000000 != 0 }

// reason is the error behind a status, of which 32 bits count.
func reason(status uintptr) error { return windows.Errno(uint32(status)) }
