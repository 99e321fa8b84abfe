package main

import (
	"errors"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"

	"github.com/go-shipper/shipper/host"
)

// eventSource is the guard in the Application event log. Windows' own message
// file has texts that are nothing but what is put into them.
const (
	eventSource = `SYSTEM\CurrentControlSet\Services\EventLog\Application\` + guardService
	eventID     = 1
)

// openEvents makes the guard a source of events. Where the host wants none of
// it there are none: the journal has it all.
func openEvents() func(host.Event) {
	key, _, err := registry.CreateKey(registry.LOCAL_MACHINE, eventSource, registry.SET_VALUE)
	if err == nil {
		_ = errors.Join(key.SetExpandStringValue("EventMessageFile", `%SystemRoot%\System32\EventCreate.exe`),
			key.SetDWordValue("TypesSupported", windows.EVENTLOG_ERROR_TYPE|windows.EVENTLOG_WARNING_TYPE|windows.EVENTLOG_INFORMATION_TYPE),
			key.Close())
	}
	name, err := windows.UTF16PtrFromString(guardService)
	if err != nil {
		return nil
	}
	log, err := windows.RegisterEventSource(nil, name)
	if err != nil {
		return nil
	}
	return func(e host.Event) {
		kind := uint16(windows.EVENTLOG_INFORMATION_TYPE)
		if e.Trouble {
			kind = windows.EVENTLOG_WARNING_TYPE
		}
		if text, err := windows.UTF16PtrFromString(e.Text); err == nil {
			_ = windows.ReportEvent(log, kind, 0, eventID, 0, 1, 0, &text, nil)
		}
	}
}

func removeEvents() error {
	err := registry.DeleteKey(registry.LOCAL_MACHINE, eventSource)
	if errors.Is(err, registry.ErrNotExist) {
		return nil
	}
	return err
}
