package service

import "testing"

func TestDetectMode(t *testing.T) {
	const no, byManager = false, true
	tests := []struct {
		env     map[string]string
		started bool
		want    Mode
	}{
		{nil, no, Debug},
		{nil, byManager, WindowsService},
		{map[string]string{"RUNTIME_MODE": "debug"}, byManager, Debug},
		{map[string]string{"RUNTIME_MODE": "debug", "NOTIFY_SOCKET": "/x"}, no, Debug},
		{map[string]string{"RUNTIME_MODE": "service"}, no, WindowsService},
		{map[string]string{"RUNTIME_MODE": "service", "NOTIFY_SOCKET": "/x"}, no, Systemd},
		{map[string]string{"RUNTIME_MODE": "Service"}, no, ""},
		{map[string]string{"NOTIFY_SOCKET": "/x"}, no, Systemd},
		{map[string]string{"SHIPPER_MODE": "native"}, no, WindowsService},
		{map[string]string{"SHIPPER_MODE": "console"}, byManager, Daemon},
		{map[string]string{"SHIPPER_MODE": "console", "RUNTIME_MODE": "debug"}, no, Debug},
	}
	for _, tt := range tests {
		got, err := detectMode(func(name string) string { return tt.env[name] }, func() (Mode, bool) { return WindowsService, tt.started })
		if got != tt.want || (err != nil) != (tt.want == "") {
			t.Errorf("%v, started %v: %q, %v", tt.env, tt.started, got, err)
		}
	}
}
