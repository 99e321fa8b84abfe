package doctor

import (
	"net"
	"strconv"
	"strings"

	"github.com/go-shipper/shipper/host/rpc"
)

const (
	firewallKey    = `SYSTEM\CurrentControlSet\Services\SharedAccess\Parameters\FirewallPolicy`
	firewallPolicy = `SOFTWARE\Policies\Microsoft\WindowsFirewall`
)

// profiles are the firewall's, as people and as the registry call them.
var profiles = []struct{ name, key string }{
	{"domain", "DomainProfile"}, {"private", "StandardProfile"}, {"public", "PublicProfile"},
}

// firewall wants a rule for the public port in every profile whose firewall
// is on: which of them is in force changes with the network.
func firewall(s System, c rpc.Checkup) []rpc.Finding {
	port := portOf(c.Listen)
	if port == 0 || loopback(c.Listen) {
		return nil
	}
	var closed, unmerged []string
	for _, p := range profiles {
		if on(s, p.key) != "1" {
			continue
		}
		rules := rulesOf(s, p.key)
		switch {
		case opens(rules.domain, port, p.key) || rules.merged && opens(rules.local, port, p.key):
		case opens(rules.local, port, p.key):
			unmerged = append(unmerged, p.name)
		default:
			closed = append(closed, p.name)
		}
	}
	add := `set traffic.firewall: true, or run New-NetFirewallRule -DisplayName ` + c.Service + ` -Direction Inbound -Protocol TCP -LocalPort ` + strconv.Itoa(port)
	switch {
	case len(unmerged) > 0:
		return trouble("firewall", "add the rule to the group policy that sets the firewall: it forbids local ones (AllowLocalPolicyMerge)",
			"the rule for port %d does not count in these profiles: %s", port, strings.Join(unmerged, ", "))
	case len(closed) > 0:
		return warning("firewall", add, "no rule opens port %d in these profiles: %s", port, strings.Join(closed, ", "))
	}
	return fine("firewall", "port %d is open, or no firewall is on", port)
}

// on is EnableFirewall of a profile; a policy goes before.
func on(s System, profile string) string {
	if set, ok := s.Text(firewallPolicy+`\`+profile, "EnableFirewall"); ok {
		return set
	}
	set, _ := s.Text(firewallKey+`\`+profile, "EnableFirewall")
	return set
}

// ruleset is what may open a port in a profile.
type ruleset struct {
	local, domain []string
	merged        bool // local rules count
}

func rulesOf(s System, profile string) ruleset {
	merge, set := s.Text(firewallPolicy+`\`+profile, "AllowLocalPolicyMerge")
	return ruleset{
		local:  texts(s, firewallKey+`\FirewallRules`),
		domain: texts(s, firewallPolicy+`\FirewallRules`),
		merged: !set || merge != "0",
	}
}

func texts(s System, key string) []string {
	var all []string
	for _, name := range s.Values(key) {
		if text, ok := s.Text(key, name); ok {
			all = append(all, text)
		}
	}
	return all
}

func opens(rules []string, port int, profile string) bool {
	for _, r := range rules {
		if ruleOpens(r, port, profile) {
			return true
		}
	}
	return false
}

// ruleOpens reads a rule as the registry keeps it: fields between bars, some
// of them more than once. Rules for one program or for some addresses only
// are taken for none: they were not made for this port.
func ruleOpens(rule string, port int, profile string) bool {
	field := map[string][]string{}
	for _, f := range strings.Split(rule, "|") {
		if name, value, ok := strings.Cut(f, "="); ok {
			field[name] = append(field[name], value)
		}
	}
	is := func(name, value string) bool {
		return len(field[name]) == 1 && strings.EqualFold(field[name][0], value)
	}
	if !is("Action", "Allow") || !is("Active", "TRUE") || !is("Dir", "In") || len(field["App"])+len(field["Svc"])+len(field["RA4"])+len(field["RA6"])+len(field["LA4"]) > 0 {
		return false
	}
	if len(field["Protocol"]) > 0 && !is("Protocol", "6") {
		return false
	}
	return covers(field, port) && inProfile(field["Profile"], profile)
}

func covers(field map[string][]string, port int) bool {
	ports := append(append([]string{}, field["LPort"]...), field["LPort2_10"]...)
	if len(ports) == 0 {
		return true
	}
	for _, p := range ports {
		from, to, isRange := strings.Cut(p, "-")
		if !isRange {
			to = from
		}
		low, err1 := strconv.Atoi(from)
		high, err2 := strconv.Atoi(to)
		if err1 == nil && err2 == nil && low <= port && port <= high {
			return true
		}
	}
	return false
}

// inProfile: no profile means all of them. Rules say Private, the registry's
// key of that profile is StandardProfile.
func inProfile(of []string, profile string) bool {
	want := strings.TrimSuffix(profile, "Profile")
	if want == "Standard" {
		want = "Private"
	}
	for _, p := range of {
		if strings.EqualFold(p, want) {
			return true
		}
	}
	return len(of) == 0
}

func portOf(address string) int {
	_, text, err := net.SplitHostPort(address)
	if err != nil {
		return 0
	}
	port, _ := strconv.Atoi(text) // 0 where it is no number
	return port
}

func loopback(address string) bool {
	host, _, _ := net.SplitHostPort(address)
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// publicPort names who has the public port today: a service that is to move
// behind the router, or somebody else.
func publicPort(s System, c rpc.Checkup) []rpc.Finding {
	port := portOf(c.Listen)
	if port == 0 {
		return nil
	}
	switch owner, err := s.Owner(port); {
	case err != nil:
		return unknown("public port", "%v", err)
	case owner == "":
		return fine("public port", "%d is free", port)
	case strings.HasPrefix(strings.ToLower(owner), "shipper-host"):
		return fine("public port", "%d belongs to shipper's router", port)
	default:
		return trouble("public port", "stop that program or move it to another port, or choose another traffic.listen", "%d belongs to %s", port, owner)
	}
}

// slotPorts wants them free, or the service's own.
func slotPorts(s System, c rpc.Checkup) []rpc.Finding {
	var found []rpc.Finding
	for _, port := range c.Ports {
		owner, err := s.Owner(port)
		switch {
		case err != nil:
			found = append(found, unknown("slot ports", "%d: %v", port, err)...)
		case owner != "":
			found = append(found, warning("slot ports", "if that is not "+c.Service+" itself, choose other service.ports", "%d belongs to %s", port, owner)...)
		}
	}
	if len(found) == 0 && len(c.Ports) > 0 {
		return fine("slot ports", "free")
	}
	return found
}
