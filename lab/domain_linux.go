package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/go-shipper/shipper/lab/wsman/krb5"
)

// keytabName is the file beside a host's prefix that makes it a member of a
// domain when it boots.
const keytabName = "host.keytab"

// Join gives a host its account in a domain, and reboots it.
func (l *Lab) Join(ctx context.Context, host string, keytab []byte) error {
	file := filepath.Join(filepath.Dir(l.Prefix(host)), keytabName)
	if err := os.WriteFile(file, keytab, 0o600); err != nil {
		return fmt.Errorf("join %s to a domain: %w", host, err)
	}
	return l.Reboot(ctx, host, 0)
}

// domainAccount is what the host knows of its domain, nil outside of one.
func domainAccount(file string) (*krb5.Service, error) {
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the host's keytab: %w", err)
	}
	return krb5.NewService(b)
}
