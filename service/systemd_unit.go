//go:build !windows

package service

import (
	"fmt"
	"strings"
	"time"
)

// unitFile is the unit of a service, hardened: it sees the system read-only,
// has no privileges and no devices, and writes only to folders of its own.
func unitFile(name, exe string, r Registration, start, stop time.Duration) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("[Unit]")
	line("Description=%s", percent(r.Description))
	after := append([]string{"network.target"}, r.DependsOn...)
	line("After=%s", strings.Join(after, " "))
	if len(r.DependsOn) > 0 {
		line("Requires=%s", strings.Join(r.DependsOn, " "))
	}
	line("StartLimitIntervalSec=0")
	line("")
	line("[Service]")
	line("Type=notify")
	line("NotifyAccess=main")
	line("ExecStart=%s", commandLine(exe, r.Args))
	line(`ExecReload=/bin/sh -c "kill -HUP $MAINPID"`) // /bin/kill is not everywhere
	for _, pair := range r.Env {
		line("Environment=%s", quote(pair, false))
	}
	line("Restart=%s", map[bool]string{true: "on-failure", false: "no"}[len(r.Recovery) > 0])
	if len(r.Recovery) > 0 {
		line("RestartSec=%s", r.Recovery[0])
	}
	line("TimeoutStartSec=%s", start)
	line("TimeoutStopSec=%s", stop+stopMargin)
	line("WatchdogSec=%s", r.Watchdog)
	account(&b, name, r)
	b.WriteString(hardening)
	for _, dir := range r.Writable {
		line("ReadWritePaths=%s", quote(dir, false))
	}
	line("")
	line("[Install]")
	line("WantedBy=multi-user.target")
	return b.String()
}

// account is who runs it, with folders that are its own.
func account(b *strings.Builder, name string, r Registration) {
	if r.Account == "" {
		fmt.Fprintf(b, "DynamicUser=yes\n")
	} else {
		fmt.Fprintf(b, "User=%s\n", percent(r.Account))
	}
	for _, kind := range []string{"State", "Logs", "Runtime"} {
		fmt.Fprintf(b, "%sDirectory=%s\n%sDirectoryMode=0750\n", kind, name, kind)
	}
}

// hardening is what no service needs that the kit is made for.
const hardening = `UMask=0027
NoNewPrivileges=yes
CapabilityBoundingSet=
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
`

// socketFile is the unit of the socket that waits for the service.
func socketFile(name string, r Registration) string {
	return fmt.Sprintf(`[Unit]
Description=%s (socket)

[Socket]
ListenStream=%s
FileDescriptorName=%s
NoDelay=yes

[Install]
WantedBy=sockets.target
`, percent(r.Description), percent(r.Socket), name)
}

func commandLine(exe string, args []string) string {
	words := []string{quote(exe, true)}
	for _, a := range args {
		words = append(words, quote(a, true))
	}
	return strings.Join(words, " ")
}

// quote writes one word of a unit file. In a command line systemd also
// replaces $NAME.
func quote(s string, command bool) string {
	s = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "%", "%%", "\t", `\t`).Replace(s)
	if command {
		s = strings.ReplaceAll(s, "$", "$$")
	}
	return `"` + s + `"`
}

// percent keeps systemd from replacing specifiers.
func percent(s string) string { return strings.ReplaceAll(s, "%", "%%") }
