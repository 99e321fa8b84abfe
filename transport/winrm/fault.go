package winrm

import (
	"fmt"

	"github.com/go-shipper/shipper/transport"
)

// Codes that decide something. Messages are localized; codes are stable.
const (
	codeAccessDenied  = 5
	codePipeEnded     = 109
	codeBusy          = 170
	codePipeClosing   = 232
	codeAborted       = 995
	codeKeyDeleted    = 1018       // the host has unloaded the account's profile below the shell
	codeTimedOut      = 2150858793 // no output yet, or no room for input yet
	codeUnknownShell  = 2150858843 // or unknown command
	codeShellsPerUser = 2150859173
	codeOperations    = 2150859174
	codeUserQuota     = 2150859175
	codeSystemQuota   = 2150859176
	codeUsers         = 2150859179
	codePluginQuota   = 2150859236 // to codePluginLast
	codePluginLast    = 2150859240

	win32 = 0x80070000 // a Win32 code dressed up as an HRESULT
)

// Fault is a SOAP fault of a host.
type Fault struct {
	Status   int    // HTTP
	Code     uint32 // WSMan or Win32, 0 if the host gave none
	Subcode  string // local name, as TimedOut
	Reason   string // in the host's language
	Provider string // of the fault's detail
}

func (f *Fault) Error() string {
	s := f.Reason
	if s == "" {
		s = "fault without a reason"
	}
	if f.Subcode != "" {
		s = f.Subcode + ": " + s
	}
	if f.Provider != "" {
		s += " (" + f.Provider + ")"
	}
	return s
}

// is compares the code, dressed up or not.
func (f *Fault) is(code uint32) bool {
	return f.Code == code || (code < 1<<16 && f.Code == win32|code)
}

func (f *Fault) kind() transport.Kind {
	switch {
	case f.is(codeAccessDenied) || f.Subcode == "AccessDenied":
		return transport.Denied
	case f.is(codeUnknownShell), f.is(codePipeEnded), f.is(codePipeClosing), f.is(codeAborted), f.is(codeKeyDeleted):
		return transport.Gone
	case f.quota():
		return transport.Quota
	}
	return transport.Broken
}

func (f *Fault) quota() bool {
	switch f.Code {
	case codeShellsPerUser, codeOperations, codeUserQuota, codeSystemQuota, codeUsers:
		return true
	}
	return f.Subcode == "QuotaLimit" || (f.Code >= codePluginQuota && f.Code <= codePluginLast)
}

// Hints: the exact thing to do.
const (
	hintUnreachable = "is WinRM enabled on the host? run there, as administrator: winrm quickconfig; then open the port in firewalls on the way"
	hintPassword    = "check transport.user (DOMAIN\\user, user@domain or user) and transport.password; local administrators other than Administrator need LocalAccountTokenFilterPolicy=1 on the host"
	hintRights      = "the account needs administrator rights; local administrators other than Administrator get filtered tokens: set HKLM\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Policies\\System\\LocalAccountTokenFilterPolicy=1 (DWORD) on the host"
	hintCA          = "set transport.ca to the PEM file of the authority that signed the host's certificate"
	hintPin         = "another certificate than the one of transport.fingerprint: is it the right host, and was its certificate renewed? then set transport.fingerprint: "
	hintProxy       = "check transport.proxy, and whether the proxy allows CONNECT to the host's port; without it the host is reached directly"
	hintName        = "the host's certificate is for another name: use that name as the host's address"
	hintExpired     = "renew the certificate of the host's HTTPS listener; check the clocks"
	hintNoBasic     = "the host does not take Basic: set transport.auth to ntlm"
	hintPlainBasic  = "Basic would send the password in the clear: set transport.https to true or transport.auth to ntlm"
	hintNoNTLM      = "allow Negotiate on the host: winrm set winrm/config/service/auth @{Negotiate=\"true\"}; a policy of the domain may forbid NTLM"
	hintWeak        = "the host does not offer NTLMv2 with message encryption: use transport.https"
	hintNotSealed   = "the host or something on the way does not keep messages encrypted: use transport.https"
	hintShells      = "too many shells or operations of this account are in use on the host; those that nobody uses were freed, or end by themselves within three minutes; or raise MaxShellsPerUser: winrm set winrm/config/winrs"
	hintEnvelope    = "the host takes smaller envelopes than it says: winrm set winrm/config @{MaxEnvelopeSizekb=\"500\"}"
	hintScheme      = "is this the WinRM port? 5985 is HTTP, 5986 is HTTPS (transport.https)"
)

func (f *Fault) hint() string {
	switch f.kind() {
	case transport.Denied:
		return hintRights
	case transport.Quota:
		return hintShells
	}
	return ""
}

func statusError(status int) error { return fmt.Errorf("answered with HTTP status %d", status) }
