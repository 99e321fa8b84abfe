package doctor

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-shipper/shipper/host/rpc"
)

// made is a host as a test describes it.
type made struct {
	values   map[string]string // key\value: text
	rights   map[string][]string
	owners   map[int]string
	policies []string
	admin    bool
	filtered bool
	free     int64
}

// healthy is a Windows Server 2022 on which everything works.
func healthy() *made {
	return &made{
		values: map[string]string{
			versionKey + `\CurrentBuildNumber`: "20348", versionKey + `\ProductName`: "Windows Server 2022 Standard",
			`SYSTEM\CurrentControlSet\Control\Session Manager\Environment\PROCESSOR_ARCHITECTURE`: "AMD64",
			firewallKey + `\DomainProfile\EnableFirewall`:                                         "1",
			firewallKey + `\FirewallRules\{1}`:                                                    "v2.31|Action=Allow|Active=TRUE|Dir=In|Protocol=6|LPort=8080|Name=orders|",
		},
		rights: map[string][]string{"SeNetworkLogonRight": {sidAdministrators}, "SeServiceLogonRight": {sidAllServices}},
		owners: map[int]string{}, admin: true, free: 100e9,
	}
}

func (m *made) Text(key, value string) (string, bool) {
	text, ok := m.values[key+`\`+value]
	return text, ok
}

func (m *made) below(key string, deep bool) []string {
	var names []string
	for path := range m.values {
		rest, ok := strings.CutPrefix(path, key+`\`)
		name, _, isKey := strings.Cut(rest, `\`)
		if ok && isKey == deep && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

func (m *made) Keys(key string) []string   { return m.below(key, true) }
func (m *made) Values(key string) []string { return m.below(key, false) }
func (m *made) Policies() []string         { return m.policies }
func (m *made) Holders(right string) ([]string, error) {
	if m.rights == nil {
		return nil, errors.New("no")
	}
	return m.rights[right], nil
}
func (m *made) Owner(port int) (string, error) { return m.owners[port], nil }
func (m *made) Token() (bool, bool)            { return m.admin, m.filtered }
func (m *made) Free(string) (int64, error)     { return m.free, nil }

func checkup() rpc.Checkup {
	return rpc.Checkup{
		Service: "orders", Listen: ":8080", Ports: []int{18080, 18081}, Arch: "amd64", Need: 1e9, Clock: time.Now(), Logon: "ntlm",
	}
}

func TestHealthyHost(t *testing.T) {
	for _, f := range Examine(healthy(), checkup()) {
		if f.State != rpc.Fine || f.Hint != "" {
			t.Errorf("%+v", f)
		}
	}
}

// Each case breaks one thing; that one finding, and no other, must say so.
func TestFindings(t *testing.T) {
	allow := func(m *made, key, value, text string) { m.values[key+`\`+value] = text }
	cases := []struct {
		name  string
		spoil func(*made, *rpc.Checkup)
		check string
		state string
		words string // of detail and hint
	}{
		{"old Windows", func(m *made, _ *rpc.Checkup) { allow(m, versionKey, "CurrentBuildNumber", "9600") }, "windows", rpc.Problem, "2016"},
		{"no tar", func(m *made, _ *rpc.Checkup) { allow(m, versionKey, "CurrentBuildNumber", "14393") }, "windows", rpc.Warning, "powershell"},
		{"no version", func(m *made, _ *rpc.Checkup) { delete(m.values, versionKey+`\CurrentBuildNumber`) }, "windows", rpc.Unknown, "build"},
		{"other processor", func(_ *made, c *rpc.Checkup) { c.Arch = "arm64" }, "architecture", rpc.Problem, "`arch: amd64`"},
		{"arm", func(m *made, c *rpc.Checkup) {
			m.values[`SYSTEM\CurrentControlSet\Control\Session Manager\Environment\PROCESSOR_ARCHITECTURE`] = "ARM64"
		}, "architecture", rpc.Warning, "`arch: arm64`"},
		{"filtered token", func(m *made, _ *rpc.Checkup) { m.admin, m.filtered = false, true }, "rights", rpc.Problem, "LocalAccountTokenFilterPolicy"},
		{"no administrator", func(m *made, _ *rpc.Checkup) { m.admin = false }, "rights", rpc.Problem, "group Administrators"},
		{"clock far off", func(_ *made, c *rpc.Checkup) { c.Clock = c.Clock.Add(-time.Hour) }, "clock", rpc.Problem, "w32tm /resync"},
		{"clock off", func(_ *made, c *rpc.Checkup) { c.Clock = c.Clock.Add(time.Minute) }, "clock", rpc.Warning, "w32tm"},
		{"shells forbidden", func(m *made, _ *rpc.Checkup) { allow(m, shellPolicy, "AllowRemoteShellAccess", "0") }, "remote shells", rpc.Problem, "Allow Remote Shell Access"},
		{"Negotiate forbidden", func(m *made, _ *rpc.Checkup) { allow(m, winrmPolicy, "AllowNegotiate", "0") }, "logon", rpc.Problem, "gpresult"},
		{"Basic forbidden", func(m *made, c *rpc.Checkup) {
			c.Logon = "basic"
			allow(m, winrmPolicy, "AllowBasic", "0")
		}, "logon", rpc.Problem, "Basic"},
		{"NTLM refused", func(m *made, _ *rpc.Checkup) { allow(m, lsaKey+`\MSV1_0`, "RestrictReceivingNTLMTraffic", "2") }, "logon", rpc.Problem, "kerberos"},
		{"NTLM refused to the domain", func(m *made, _ *rpc.Checkup) { allow(m, lsaKey+`\MSV1_0`, "RestrictReceivingNTLMTraffic", "1") }, "logon", rpc.Warning, "kerberos"},
		{"network logon denied", func(m *made, _ *rpc.Checkup) { m.rights["SeDenyNetworkLogonRight"] = []string{sidAdministrators} }, "logon", rpc.Problem, "secpol.msc"},
		{"local accounts denied by policy", func(m *made, _ *rpc.Checkup) {
			m.rights["SeDenyNetworkLogonRight"] = []string{sidLocal}
			m.policies = []string{"[Privilege Rights]\r\nSeDenyNetworkLogonRight = *S-1-5-113\r\n"}
		}, "logon", rpc.Warning, "gpresult"},
		{"network logon not granted", func(m *made, _ *rpc.Checkup) { m.rights["SeNetworkLogonRight"] = []string{"S-1-5-21-1-2-3-500"} }, "logon", rpc.Warning, "Access this computer"},
		{"address filter", func(m *made, _ *rpc.Checkup) {
			allow(m, winrmPolicy, "AllowAutoConfig", "1")
			allow(m, winrmPolicy, "IPv4Filter", "10.0.0.0-10.0.0.9")
		}, "address filter", rpc.Warning, "10.0.0.9"},
		{"services may not log on", func(m *made, _ *rpc.Checkup) { m.rights["SeServiceLogonRight"] = []string{"S-1-5-20"} }, "service logon", rpc.Problem, "1069"},
		{"services are denied", func(m *made, _ *rpc.Checkup) { m.rights["SeDenyServiceLogonRight"] = []string{sidAllServices} }, "service logon", rpc.Problem, "ALL SERVICES"},
		{"closed firewall", func(m *made, _ *rpc.Checkup) { delete(m.values, firewallKey+`\FirewallRules\{1}`) }, "firewall", rpc.Warning, "New-NetFirewallRule -DisplayName orders -Direction Inbound -Protocol TCP -LocalPort 8080"},
		{"rule that does not merge", func(m *made, _ *rpc.Checkup) { allow(m, firewallPolicy+`\DomainProfile`, "AllowLocalPolicyMerge", "0") }, "firewall", rpc.Problem, "AllowLocalPolicyMerge"},
		{"foreign port", func(m *made, _ *rpc.Checkup) { m.owners[8080] = "iis.exe" }, "public port", rpc.Problem, "iis.exe"},
		{"slot port", func(m *made, _ *rpc.Checkup) { m.owners[18081] = "sql.exe" }, "slot ports", rpc.Warning, "service.ports"},
		{"full disk", func(m *made, _ *rpc.Checkup) { m.free = 1e8 }, "disk", rpc.Problem, "retention.releases"},
		{"nearly full disk", func(m *made, _ *rpc.Checkup) { m.free = 15e8 }, "disk", rpc.Warning, "retention.releases"},
		{"update", func(m *made, _ *rpc.Checkup) {
			allow(m, `SOFTWARE\Microsoft\Windows\CurrentVersion\WindowsUpdate\Auto Update\RebootRequired`, "x", "1")
		}, "reboot", rpc.Warning, "Windows Update"},
		{"renames", func(m *made, _ *rpc.Checkup) {
			allow(m, `SYSTEM\CurrentControlSet\Control\Session Manager`, "PendingFileRenameOperations", `\??\C:\a`)
		}, "reboot", rpc.Warning, "replaced at boot"},
		{"cluster", func(m *made, _ *rpc.Checkup) { allow(m, `Cluster\Resources\6f1a\Parameters`, "ServiceName", "Orders") }, "cluster", rpc.Problem, "Remove-ClusterGroup"},
	}
	broken := map[string]bool{"local accounts": true} // which only tells
	for _, c := range cases {
		m, q := healthy(), checkup()
		broken[c.check] = true
		c.spoil(m, &q)
		told := 0
		for _, f := range Examine(m, q) {
			if f.State == rpc.Fine {
				continue
			}
			told++
			if f.Check != c.check || f.State != c.state || !strings.Contains(f.Detail+" "+f.Hint, c.words) {
				t.Errorf("%s: %+v", c.name, f)
			}
			if (f.Hint == "") != (f.State == rpc.Unknown) {
				t.Errorf("%s: a finding without its remedy: %+v", c.name, f)
			}
		}
		if told != 1 {
			t.Errorf("%s: %d findings", c.name, told)
		}
	}
	for _, f := range Examine(healthy(), checkup()) {
		if !broken[f.Check] {
			t.Errorf("nothing here breaks what the check %q looks at", f.Check)
		}
	}
}

func TestRuleOpens(t *testing.T) {
	const head = "v2.31|Action=Allow|Active=TRUE|Dir=In|"
	cases := []struct {
		rule, profile string
		want          bool
	}{
		{head + "Protocol=6|LPort=8080|", "DomainProfile", true},
		{head + "Protocol=6|LPort=80|LPort=8080|", "PublicProfile", true},
		{head + "Protocol=6|LPort2_10=8000-8100|", "PublicProfile", true},
		{head + "Protocol=6|LPort=8080|Profile=Private|", "StandardProfile", true},
		{head + "Protocol=6|LPort=8080|Profile=Private|Profile=Domain|", "DomainProfile", true},
		{head, "DomainProfile", true},
		{head + "Protocol=6|LPort=8080|Profile=Private|", "DomainProfile", false},
		{head + "Protocol=17|LPort=8080|", "DomainProfile", false},
		{head + "Protocol=6|LPort=8081|", "DomainProfile", false},
		{head + "Protocol=6|LPort=RPC|", "DomainProfile", false},
		{head + "Protocol=6|LPort=8080|App=C:\\a.exe|", "DomainProfile", false},
		{head + "Protocol=6|LPort=8080|RA4=10.0.0.0/8|", "DomainProfile", false},
		{"v2.31|Action=Block|Active=TRUE|Dir=In|Protocol=6|LPort=8080|", "DomainProfile", false},
		{"v2.31|Action=Allow|Active=FALSE|Dir=In|Protocol=6|LPort=8080|", "DomainProfile", false},
		{"v2.31|Action=Allow|Active=TRUE|Dir=Out|Protocol=6|LPort=8080|", "DomainProfile", false},
		{"", "DomainProfile", false},
	}
	for _, c := range cases {
		if got := ruleOpens(c.rule, 8080, c.profile); got != c.want {
			t.Errorf("%s in %s: %v", c.rule, c.profile, got)
		}
	}
}
