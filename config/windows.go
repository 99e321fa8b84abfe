package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // Windows has no database of time zones, slim containers neither
)

// Windows says when a release may begin: inside one of Allow, outside all of
// Freeze. Without Allow any time outside Freeze is good.
type Windows struct {
	Allow    []string `yaml:"allow"`    // Mon-Fri 09:00-17:00
	Freeze   []string `yaml:"freeze"`   // 2026-12-18 or 2026-12-18 to 2027-01-04, both days included
	Timezone string   `yaml:"timezone"` // default: UTC

	PendingReboot string `yaml:"pendingReboot" enum:"refuse|warn"` // what it means that a host waits for one, or is being updated
}

// What a pending reboot means to a deploy.
const (
	RebootRefuse = "refuse"
	RebootWarn   = "warn"
)

func (w *Windows) setDefaults() { w.Timezone, w.PendingReboot = "UTC", RebootRefuse }

var (
	allowRule  = regexp.MustCompile(`^([A-Z][a-z]{2})(?:-([A-Z][a-z]{2}))? ([0-9]{2}:[0-9]{2})-([0-9]{2}:[0-9]{2})$`)
	freezeRule = regexp.MustCompile(`^([0-9]{4}-[0-9]{2}-[0-9]{2})(?: to ([0-9]{4}-[0-9]{2}-[0-9]{2}))?$`)
	weekdays   = []string{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"}
)

// Closed says why nothing may begin at now; empty: it may. The windows were
// validated; one that cannot be read is closed.
func (w Windows) Closed(now time.Time) string {
	zone, err := time.LoadLocation(w.Timezone)
	if err != nil {
		return err.Error()
	}
	now = now.In(zone)
	for _, text := range w.Freeze {
		if f, err := parseFreeze(text); err != nil || f.holds(now) {
			return "freeze " + text + " (" + w.Timezone + ")"
		}
	}
	if len(w.Allow) == 0 {
		return ""
	}
	for _, text := range w.Allow {
		if a, err := parseAllow(text); err == nil && a.holds(now) {
			return ""
		}
	}
	return fmt.Sprintf("%s is outside %s (%s)", now.Format("Mon 15:04"), strings.Join(w.Allow, ", "), w.Timezone)
}

// allowed is a span of the clock on some days. One that ends before it begins
// lasts past midnight and belongs to the day on which it began.
type allowed struct {
	first, last time.Weekday
	from, to    int // minutes
}

func parseAllow(text string) (allowed, error) {
	m := allowRule.FindStringSubmatch(text)
	if m == nil {
		return allowed{}, fmt.Errorf("%q is no window", shorten(text))
	}
	if m[2] == "" {
		m[2] = m[1]
	}
	first, last := slices.Index(weekdays, m[1]), slices.Index(weekdays, m[2])
	from, err1 := minutes(m[3])
	to, err2 := minutes(m[4])
	if first < 0 || last < 0 || err1 != nil || err2 != nil || from == to || from == 24*60 {
		return allowed{}, fmt.Errorf("%q is no window", shorten(text))
	}
	return allowed{time.Weekday(first), time.Weekday(last), from, to}, nil
}

func minutes(text string) (int, error) {
	if text == "24:00" {
		return 24 * 60, nil
	}
	t, err := time.Parse("15:04", text)
	return t.Hour()*60 + t.Minute(), err
}

func (a allowed) holds(now time.Time) bool {
	at := now.Hour()*60 + now.Minute()
	if a.from < a.to {
		return a.on(now.Weekday()) && at >= a.from && at < a.to
	}
	return a.on(now.Weekday()) && at >= a.from || a.on((now.Weekday()+6)%7) && at < a.to
}

// on counts days from the first one: Sat-Mon goes over the end of the week.
func (a allowed) on(day time.Weekday) bool {
	return (day-a.first+7)%7 <= (a.last-a.first+7)%7
}

// frozen is a span of days, both included.
type frozen struct{ first, last string }

func parseFreeze(text string) (frozen, error) {
	m := freezeRule.FindStringSubmatch(text)
	if m == nil {
		return frozen{}, fmt.Errorf("%q is no freeze", shorten(text))
	}
	if m[2] == "" {
		m[2] = m[1]
	}
	for _, day := range m[1:] {
		if _, err := time.Parse(time.DateOnly, day); err != nil {
			return frozen{}, fmt.Errorf("%q: %s is no date", shorten(text), day)
		}
	}
	if m[2] < m[1] {
		return frozen{}, fmt.Errorf("%q ends before it begins", shorten(text))
	}
	return frozen{m[1], m[2]}, nil
}

func (f frozen) holds(now time.Time) bool {
	day := now.Format(time.DateOnly)
	return day >= f.first && day <= f.last
}

func (c *checker) windows() {
	w := c.t.Windows
	if _, err := time.LoadLocation(w.Timezone); err != nil || w.Timezone == "Local" || w.Timezone == "" {
		c.problem("windows.timezone", "write a name like Europe/Berlin, or UTC", "`windows.timezone`: %q is no time zone", shorten(w.Timezone))
	}
	for i, text := range w.Allow {
		if _, err := parseAllow(text); err != nil {
			at := fmt.Sprintf("windows.allow[%d]", i)
			c.problem(at, `write "Mon-Fri 09:00-17:00"`, "`%s`: %v", at, err)
		}
	}
	for i, text := range w.Freeze {
		if _, err := parseFreeze(text); err != nil {
			at := fmt.Sprintf("windows.freeze[%d]", i)
			c.problem(at, `write "2026-12-18 to 2027-01-04", or one day`, "`%s`: %v", at, err)
		}
	}
}
