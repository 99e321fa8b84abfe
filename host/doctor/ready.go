package doctor

import (
	"strings"

	"github.com/go-shipper/shipper/host/rpc"
)

const (
	servicingKey = `SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing`
	updateKey    = `SOFTWARE\Microsoft\Windows\CurrentVersion\WindowsUpdate\Auto Update`
	installerKey = `SOFTWARE\Microsoft\Windows\CurrentVersion\Installer`
)

// Ready tells what about the host itself speaks against a change now: a
// reboot that is pending, an update that is being installed.
func Ready(s System) rpc.Readiness {
	var r rpc.Readiness
	var pending, running []string
	for _, sign := range []struct {
		key, name, text string
		to              *[]string
	}{
		{servicingKey, "RebootPending", "servicing of Windows", &pending},
		{updateKey, "RebootRequired", "Windows Update", &pending},
		{servicingKey, "RebootInProgress", "servicing of Windows", &running},
		{installerKey, "InProgress", "Windows Installer", &running},
	} {
		for _, key := range s.Keys(sign.key) {
			if strings.EqualFold(key, sign.name) {
				*sign.to = append(*sign.to, sign.text)
			}
		}
	}
	if n, ok := s.Text(servicingKey+`\SessionsPending`, "Exclusive"); ok && n != "0" {
		running = append(running, "updates of Windows")
	}
	if renames, ok := s.Text(`SYSTEM\CurrentControlSet\Control\Session Manager`, "PendingFileRenameOperations"); ok && strings.TrimSpace(renames) != "" {
		r.Renames = len(pending) == 0
		pending = append(pending, "files to be replaced at boot")
	}
	r.Reboot, r.Updating = strings.Join(pending, ", "), strings.Join(running, ", ")
	return r
}
