package winrm

import (
	"context"
	"errors"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/masterzen/winrm/soap"
)

const (
	enumerationNS   = "http://schemas.xmlsoap.org/ws/2004/09/enumeration"
	actionEnumerate = enumerationNS + "/Enumerate"

	// orphanAge is from when on nobody can be behind a shell of ours: who is
	// asks for its output every OperationTimeout.
	orphanAge = 90 * time.Second
)

// openShell makes a shell. Where the host allows no more, those that a
// controller which died has left behind make room.
func (c *client) openShell(ctx context.Context) (*shell, error) {
	s, err := c.newShell(ctx)
	var f *Fault
	if errors.As(err, &f) && f.quota() && c.reap(ctx) > 0 {
		return c.newShell(ctx)
	}
	return s, err
}

// reap deletes our own shells that nobody uses any more, and tells how many.
// Shells of others have other names.
func (c *client) reap(ctx context.Context) (n int) {
	b, err := c.do(ctx, c.build.enumerate(), true)
	if err != nil {
		return 0 // the quota's own fault says more
	}
	for _, id := range b.orphans(c.cfg.orphanAge) {
		if (&shell{c: c, id: id}).close(ctx) == nil {
			n++
		}
	}
	return n
}

// enumerate asks for the shells that this account may see.
func (b builder) enumerate() message {
	m, id := b.start(actionEnumerate, shellNS, "")
	body := m.CreateBodyElement("Enumerate", soap.DOM_NS_ENUM)
	m.CreateElement(body, "OptimizeEnumeration", soap.DOM_NS_WSMAN_DMTF)
	m.CreateElement(body, "MaxElements", soap.DOM_NS_WSMAN_DMTF).SetContent("100")
	return finish("enumerate", id, m)
}

// shellItem is a shell as the host describes it.
type shellItem struct {
	ID         string `xml:"ShellId"`
	Name       string `xml:"Name"`
	Inactivity string `xml:"ShellInactivity"`
}

func (b *body) orphans(age time.Duration) []string {
	var ids []string
	for _, s := range b.Shells {
		idle, ok := isoDuration(s.Inactivity)
		id, err := checkID(s.ID)
		if strings.TrimSpace(s.Name) == shellName && ok && idle >= age && err == nil {
			ids = append(ids, id)
		}
	}
	return ids
}

var isoPattern = regexp.MustCompile(`^P(?:(\d{1,5})D)?(?:T(?:(\d{1,5})H)?(?:(\d{1,5})M)?(?:(\d{1,9}(?:\.\d{1,9})?)S)?)?$`)

// isoDuration reads what hosts write: P0DT1H4M33S, PT12.345S.
func isoDuration(s string) (time.Duration, bool) {
	m := isoPattern.FindStringSubmatch(strings.TrimSpace(s))
	if m == nil {
		return 0, false
	}
	var seconds float64
	for i, unit := range []float64{24 * 3600, 3600, 60, 1} {
		n, _ := strconv.ParseFloat(m[i+1], 64) // empty: none of them
		seconds += n * unit
	}
	return time.Duration(seconds * float64(time.Second)), s != "P"
}
