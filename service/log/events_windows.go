package log

import (
	"errors"
	"fmt"
	"log/slog"

	"golang.org/x/sys/windows/registry"
	"golang.org/x/sys/windows/svc/eventlog"
)

const sources = `SYSTEM\CurrentControlSet\Services\EventLog\Application\`

// RegisterSource makes source known to the Event Log, with the system's own
// message file, so that no program is needed to read the events later. A
// source that is there stays as it is. It needs the rights of an administrator.
func RegisterSource(source string) error {
	err := eventlog.InstallAsEventCreate(source, eventlog.Error|eventlog.Warning|eventlog.Info)
	if err != nil && !registered(source) {
		return fmt.Errorf("register event source %s: %w", source, err)
	}
	return nil
}

// UnregisterSource forgets source. Its events stay. One that is not there is
// no error.
func UnregisterSource(source string) error {
	if err := eventlog.Remove(source); err != nil && registered(source) {
		return fmt.Errorf("remove event source %s: %w", source, err)
	}
	return nil
}

func registered(source string) bool {
	key, err := registry.OpenKey(registry.LOCAL_MACHINE, sources+source, registry.QUERY_VALUE)
	if err != nil {
		return !errors.Is(err, registry.ErrNotExist)
	}
	key.Close()
	return true
}

// OpenEvents opens the Windows Event Log for a source that RegisterSource made
// known. On other systems it is nil: there the system's journal reads the log.
func OpenEvents(source string) (EventSink, error) {
	l, err := eventlog.Open(source)
	if err != nil {
		return nil, fmt.Errorf("open event log for %s: %w", source, err)
	}
	return eventLog{l}, nil
}

type eventLog struct{ log *eventlog.Log }

func (e eventLog) Report(level slog.Level, id uint32, text string) error {
	switch {
	case level >= slog.LevelError:
		return e.log.Error(id, text)
	case level >= slog.LevelWarn:
		return e.log.Warning(id, text)
	}
	return e.log.Info(id, text)
}

func (e eventLog) Close() error { return e.log.Close() }
