package doctor

import (
	"strconv"
	"strings"
	"time"

	"github.com/go-shipper/shipper/host/rpc"
)

const (
	versionKey = `SOFTWARE\Microsoft\Windows NT\CurrentVersion`
	// oldestBuild is Windows Server 2016: service accounts, tar and the rest
	// are as shipper needs them from there on.
	oldestBuild = 14393
	// tarBuild is Windows Server 2019, which brings tar.exe along.
	tarBuild = 17763
)

func windows(s System, _ rpc.Checkup) []rpc.Finding {
	text, _ := s.Text(versionKey, "CurrentBuildNumber")
	build, err := strconv.Atoi(text)
	name, _ := s.Text(versionKey, "ProductName")
	switch {
	case err != nil:
		return unknown("windows", "the build number of Windows is not to be found")
	case build < oldestBuild:
		return trouble("windows", "shipper needs Windows Server 2016 or Windows 10 version 1607, at least", "%s, build %d", name, build)
	case build < tarBuild:
		return warning("windows", "before Windows Server 2019 there is no tar.exe: keep powershell in bootstrap.allow, or bring the helper yourself (bootstrap.helper: preinstalled)",
			"%s, build %d", name, build)
	}
	return fine("windows", "%s, build %d", name, build)
}

func architecture(s System, c rpc.Checkup) []rpc.Finding {
	arch, _ := s.Text(`SYSTEM\CurrentControlSet\Control\Session Manager\Environment`, "PROCESSOR_ARCHITECTURE")
	arch = strings.ToLower(arch)
	switch {
	case arch == "":
		return unknown("architecture", "Windows does not say")
	case c.Arch == "" || arch == c.Arch:
		return fine("architecture", "%s", arch)
	case arch == "arm64" && c.Arch == "amd64":
		return warning("architecture", "set `arch: arm64` for the host: programs for amd64 run there, but slower", "the host is arm64, shipper.yaml says amd64")
	}
	return trouble("architecture", "set `arch: "+arch+"` for the host in shipper.yaml", "the host is %s, shipper.yaml says %s", arch, c.Arch)
}

// maxSkew is what Kerberos allows between two clocks by default.
const maxSkew = 5 * time.Minute

func clockSkew(here, there time.Time) time.Duration {
	return here.Sub(there).Abs().Round(time.Second)
}

func clock(_ System, c rpc.Checkup) []rpc.Finding {
	if c.Clock.IsZero() {
		return nil
	}
	switch skew := clockSkew(time.Now(), c.Clock); {
	case skew > maxSkew:
		return trouble("clock", "w32tm /resync on the host, and look where it gets its time from: w32tm /query /source", "%s apart from this machine's; Kerberos allows 5m", skew)
	case skew > maxSkew/10:
		return warning("clock", "w32tm /query /status on the host", "%s apart from this machine's: the journal's times will look wrong", skew)
	}
	return fine("clock", "agrees with this machine's")
}

func administrator(s System, _ rpc.Checkup) []rpc.Finding {
	admin, filtered := s.Token()
	switch {
	case admin:
		return fine("rights", "administrator")
	case filtered:
		return trouble("rights", hintTokenFilter, "the account is an administrator, but its token is filtered over the network (UAC)")
	}
	return trouble("rights", "put the account into the host's group Administrators", "the account is no administrator here")
}

// room wants what a release takes, once more for what unpacks it.
func room(s System, c rpc.Checkup) []rpc.Finding {
	free, err := s.Free(c.Root)
	switch {
	case err != nil:
		return unknown("disk", "free room: %v", err)
	case c.Need == 0:
		return fine("disk", "%d MB free", free/1e6)
	case free < c.Need:
		return trouble("disk", "make room, or keep fewer releases: retention.releases", "%d MB free, the release and those retained may take %d MB", free/1e6, c.Need/1e6)
	case free < 2*c.Need:
		return warning("disk", "make room, or keep fewer releases: retention.releases", "%d MB free, the release and those retained may take %d MB", free/1e6, c.Need/1e6)
	}
	return fine("disk", "%d MB free, the release and those retained may take %d MB", free/1e6, c.Need/1e6)
}

func reboot(s System, _ rpc.Checkup) []rpc.Finding {
	now := Ready(s)
	switch {
	case now.Updating != "":
		return warning("reboot", "wait for its end before you release", "being installed: %s", now.Updating)
	case now.Reboot != "":
		return warning("reboot", "reboot the host before you release, or it may happen in the middle of a run", "pending: %s", now.Reboot)
	}
	return fine("reboot", "none is pending")
}

// cluster finds the service among those that a failover cluster moves around.
func cluster(s System, c rpc.Checkup) []rpc.Finding {
	const resources = `Cluster\Resources`
	for _, id := range s.Keys(resources) {
		for _, key := range []string{resources + `\` + id + `\Parameters`, resources + `\` + id} {
			name, ok := s.Text(key, "ServiceName")
			if ok && c.Service != "" && (strings.EqualFold(name, c.Service) || strings.HasPrefix(strings.ToLower(name), strings.ToLower(c.Service)+"-")) {
				return trouble("cluster", "take the role off the cluster first (Remove-ClusterGroup): cluster and shipper would both start and stop it",
					"the service %s belongs to a failover cluster", name)
			}
		}
	}
	return nil
}
