//go:build !windows

package log

// RegisterSource does nothing here: there is no Event Log.
func RegisterSource(string) error { return nil }

// UnregisterSource does nothing here.
func UnregisterSource(string) error { return nil }

// OpenEvents is nil here: the system's journal reads the log itself.
func OpenEvents(string) (EventSink, error) { return nil, nil }
