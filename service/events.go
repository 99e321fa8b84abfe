package service

import "log/slog"

// What operators must see has an event_id in the log, which package
// service/log takes to the Windows Event Log.
var (
	eventStarted   = slog.Uint64("event_id", 1)
	eventStopped   = slog.Uint64("event_id", 2)
	eventDegraded  = slog.Uint64("event_id", 3)
	eventRecovered = slog.Uint64("event_id", 4)
	eventReload    = slog.Uint64("event_id", 9)
	eventControl   = slog.Uint64("event_id", 10)
)

// eventOf a transition; none for those that end in another soon.
func eventOf(t Transition) []any {
	switch {
	case t.From == Init && t.To == Running:
		return []any{eventStarted}
	case t.To == Degraded:
		return []any{eventDegraded}
	case t.From == Degraded && t.To == Running:
		return []any{eventRecovered}
	case t.To == Stopped:
		return []any{eventStopped}
	}
	return nil
}
