package doctor

import (
	"strings"

	"github.com/go-shipper/shipper/host/rpc"
)

// Where policies of the domain set WinRM's switches; they win over those that
// `winrm set` makes.
const (
	winrmPolicy = `SOFTWARE\Policies\Microsoft\Windows\WinRM\Service`
	shellPolicy = winrmPolicy + `\WinRS`
	lsaKey      = `SYSTEM\CurrentControlSet\Control\Lsa`
	systemKey   = `SOFTWARE\Microsoft\Windows\CurrentVersion\Policies\System`
)

const (
	byPolicy        = "; a group policy sets it: gpresult /h report.html on the host names it"
	hintTokenFilter = `use a domain account in Administrators, or on the host: New-ItemProperty HKLM:\` + systemKey +
		` -Name LocalAccountTokenFilterPolicy -Value 1 -PropertyType DWord -Force`
)

func remoteShells(s System, _ rpc.Checkup) []rpc.Finding {
	if allowed, ok := s.Text(shellPolicy, "AllowRemoteShellAccess"); ok && allowed == "0" {
		return trouble("remote shells", `let the policy "Allow Remote Shell Access" be enabled or not configured for this host, or use transport type ssh`,
			"a group policy forbids remote shells")
	}
	return fine("remote shells", "allowed")
}

// logons looks at what forbids the way in which the controller logs on, for
// all ways: this host may be reached today and hardened tomorrow.
func logons(s System, c rpc.Checkup) []rpc.Finding {
	var found []rpc.Finding
	for _, way := range []struct{ logon, value, name string }{
		{"ntlm", "AllowNegotiate", "Negotiate"}, {"kerberos", "AllowKerberos", "Kerberos"}, {"basic", "AllowBasic", "Basic"},
	} {
		if set, ok := s.Text(winrmPolicy, way.value); ok && set == "0" && c.Logon == way.logon {
			found = append(found, trouble("logon", "choose another transport.auth"+byPolicy, "a group policy forbids %s to WinRM", way.name)...)
		}
	}
	if c.Logon == "ntlm" || c.Logon == "sspi" {
		found = append(found, ntlm(s)...)
	}
	found = append(found, network(s)...)
	if len(found) == 0 {
		return fine("logon", "no policy stands in the way of %s", c.Logon)
	}
	return found
}

// ntlm: 1 refuses accounts of the domain, 2 all.
func ntlm(s System) []rpc.Finding {
	switch level, _ := s.Text(lsaKey+`\MSV1_0`, "RestrictReceivingNTLMTraffic"); level {
	case "1":
		return warning("logon", "use transport.auth: kerberos"+byPolicy, "the host refuses NTLM of domain accounts (Restrict NTLM: Incoming NTLM traffic)")
	case "2":
		return trouble("logon", "use transport.auth: kerberos"+byPolicy, "the host refuses all NTLM (Restrict NTLM: Incoming NTLM traffic)")
	}
	return nil
}

// Well-known accounts in user rights.
const (
	sidEveryone           = "S-1-1-0"
	sidAuthenticatedUsers = "S-1-5-11"
	sidAdministrators     = "S-1-5-32-544"
	sidLocal              = "S-1-5-113"
	sidLocalAdministrator = "S-1-5-114"
	sidAllServices        = "S-1-5-80-0"
)

// network looks at who may log on over the network; hardened hosts deny it to
// all local accounts.
func network(s System) []rpc.Finding {
	denied, err := s.Holders("SeDenyNetworkLogonRight")
	if err != nil {
		return unknown("logon", "user rights: %v", err)
	}
	if holds(denied, sidAdministrators, sidEveryone, sidAuthenticatedUsers) {
		return trouble("logon", "take Administrators off \"Deny access to this computer from the network\""+setBy(s, "SeDenyNetworkLogonRight"), "administrators may not log on over the network")
	}
	if holds(denied, sidLocal, sidLocalAdministrator) {
		return warning("logon", "use a domain account (transport.auth: kerberos)"+setBy(s, "SeDenyNetworkLogonRight"), "local accounts may not log on over the network")
	}
	allowed, err := s.Holders("SeNetworkLogonRight")
	if err == nil && len(allowed) > 0 && !holds(allowed, sidAdministrators, sidEveryone, sidAuthenticatedUsers) {
		return warning("logon", "add Administrators to \"Access this computer from the network\""+setBy(s, "SeNetworkLogonRight"), "administrators as such may not log on over the network")
	}
	return nil
}

func holds(holders []string, any ...string) bool {
	for _, h := range holders {
		for _, sid := range any {
			if strings.EqualFold(h, sid) {
				return true
			}
		}
	}
	return false
}

// setBy tells where a user right is set: who mends it on the host itself
// mends it for an hour, if a policy of the domain sets it.
func setBy(s System, right string) string {
	for _, policy := range s.Policies() {
		for line := range strings.Lines(policy) {
			if name, _, ok := strings.Cut(line, "="); ok && strings.EqualFold(strings.TrimSpace(name), right) {
				return byPolicy
			}
		}
	}
	return "; the host's local policy sets it: secpol.msc, Local Policies, User Rights Assignment"
}

func addressFilters(s System, _ rpc.Checkup) []rpc.Finding {
	var found []rpc.Finding
	for _, family := range []string{"IPv4Filter", "IPv6Filter"} {
		filter, ok := s.Text(winrmPolicy, family)
		if auto, set := s.Text(winrmPolicy, "AllowAutoConfig"); !ok || filter == "*" || !set || auto != "1" {
			continue
		}
		found = append(found, warning("address filter", "add the addresses of those who release, if they are missing"+byPolicy,
			"WinRM listens on the addresses of a policy only (%s: %q)", family, filter)...)
	}
	return found
}

// tokenFilter only concerns local accounts: this process has got in, so it is
// about the accounts that others use.
func tokenFilter(s System, _ rpc.Checkup) []rpc.Finding {
	if set, ok := s.Text(systemKey, "LocalAccountTokenFilterPolicy"); ok && set == "1" {
		return fine("local accounts", "administrators keep their rights over the network (LocalAccountTokenFilterPolicy)")
	}
	return fine("local accounts", "only the built-in Administrator has its rights over the network")
}

// serviceLogon looks at the right that the slots' accounts need.
func serviceLogon(s System, c rpc.Checkup) []rpc.Finding {
	const right = "SeServiceLogonRight"
	denied, err := s.Holders("SeDenyServiceLogonRight")
	if err != nil {
		return unknown("service logon", "user rights: %v", err)
	}
	if holds(denied, sidAllServices, sidEveryone) {
		return trouble("service logon", `take NT SERVICE\ALL SERVICES off "Deny log on as a service"`+setBy(s, "SeDenyServiceLogonRight"), "the slots' accounts may not log on as services")
	}
	if c.Account != "" && !strings.HasPrefix(strings.ToUpper(c.Account), `NT `) {
		return fine("service logon", "%s gets the right with its first start", c.Account)
	}
	allowed, err := s.Holders(right)
	switch {
	case err != nil:
		return unknown("service logon", "user rights: %v", err)
	case !holds(allowed, sidAllServices, sidEveryone):
		return trouble("service logon", `add NT SERVICE\ALL SERVICES to "Log on as a service"`+setBy(s, right), "virtual accounts may not log on as services: the slots would not start (error 1069)")
	}
	return fine("service logon", `NT SERVICE\ALL SERVICES`)
}
