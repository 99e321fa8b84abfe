package winrm

import (
	"context"
	"strconv"
	"strings"

	"github.com/go-shipper/shipper/transport"
)

// Quotas asks what WinRM allows an account on the host.
func (c *conn) Quotas(ctx context.Context) (transport.Quotas, error) {
	b, err := c.c.do(ctx, c.c.build.config(), true)
	if err != nil {
		return transport.Quotas{}, err
	}
	if b.Config == nil {
		return transport.Quotas{}, nil
	}
	return transport.Quotas{
		EnvelopeKB: number(b.Config.MaxEnvelopeSizeKB),
		Operations: number(b.Config.Service.Operations),
		Shells:     number(b.Config.Winrs.Shells),
		Processes:  number(b.Config.Winrs.Processes),
		MemoryMB:   number(b.Config.Winrs.Memory),
	}, nil
}

// number is 0 for what the host did not say.
func number(s string) int {
	n, err := strconv.Atoi(strings.TrimSpace(s))
	if err != nil || n < 0 {
		return 0
	}
	return n
}
