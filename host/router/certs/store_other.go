//go:build !windows

package certs

import (
	"crypto/sha256"
	"crypto/tls"
	"errors"

	"github.com/go-shipper/shipper/host/rpc"
)

func fromStore(rpc.Certificate, entry) (*tls.Certificate, [sha256.Size]byte, error) {
	return nil, [sha256.Size]byte{}, errors.New("only Windows has a store of certificates")
}
