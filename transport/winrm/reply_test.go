package winrm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-shipper/shipper/transport"
	"github.com/go-shipper/shipper/transport/winrm/internal/ntlm"
)

func envelope(body string) []byte {
	return []byte(`<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing" ` +
		`xmlns:w="http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd" xmlns:x="http://schemas.xmlsoap.org/ws/2004/09/transfer" ` +
		`xmlns:rsp="http://schemas.microsoft.com/wbem/wsman/1/windows/shell"><s:Header><a:RelatesTo>uuid:1</a:RelatesTo></s:Header>` +
		`<s:Body>` + body + `</s:Body></s:Envelope>`)
}

func faultBody(subcode, code, text string) string {
	return `<s:Fault><s:Code><s:Value>s:Receiver</s:Value><s:Subcode><s:Value>` + subcode + `</s:Value></s:Subcode></s:Code>` +
		`<s:Reason><s:Text xml:lang="de-DE">` + text + `</s:Text></s:Reason><s:Detail>` +
		`<f:WSManFault xmlns:f="http://schemas.microsoft.com/wbem/wsman/1/wsmanfault" Code="` + code + `" Machine="WEB1">` +
		`<f:Message><f:ProviderFault provider="Shell cmd plugin" path="%systemroot%\system32\winrscmd.dll">` + text + `</f:ProviderFault></f:Message>` +
		`</f:WSManFault></s:Detail></s:Fault>`
}

func TestFaults(t *testing.T) {
	cases := []struct {
		subcode, code string
		kind          transport.Kind
		hint          string
	}{
		{"w:TimedOut", "2150858793", transport.Broken, ""},
		{"w:InvalidSelectors", "2150858843", transport.Gone, ""},
		{"w:AccessDenied", "5", transport.Denied, hintRights},
		{"w:InternalError", "2147942405", transport.Denied, hintRights}, // 5 as an HRESULT
		{"w:QuotaLimit", "2150859173", transport.Quota, hintShells},
		{"w:QuotaLimit", "2150859174", transport.Quota, hintShells},
		{"w:InternalError", "2150859237", transport.Quota, hintShells},
		{"w:InternalError", "109", transport.Gone, ""},
		{"w:InternalError", "2147942509", transport.Gone, ""}, // 109
		{"w:InternalError", "995", transport.Gone, ""},
		{"w:InternalError", "232", transport.Gone, ""},
		{"w:InternalError", "2147943418", transport.Gone, ""}, // 1018
		{"w:InternalError", "170", transport.Broken, ""},
		{"w:InternalError", "2147942402", transport.Broken, ""},
		{"w:SchemaValidationError", "", transport.Broken, ""},
		{"w:Nonsense", "-1", transport.Broken, ""},
		{"w:Nonsense", "99999999999", transport.Broken, ""},
	}
	for _, c := range cases {
		b, _, err := parseReply(envelope(faultBody(c.subcode, c.code, "Der Grund")))
		if err != nil {
			t.Fatal(err)
		}
		var f *Fault
		if !errors.As(b.fault(500), &f) {
			t.Fatalf("%s %s: no fault", c.subcode, c.code)
		}
		if f.kind() != c.kind || f.hint() != c.hint || f.Subcode != c.subcode[2:] || f.Reason != "Der Grund" || f.Provider == "" {
			t.Errorf("%s %s: %+v, kind %d, hint %q", c.subcode, c.code, f, f.kind(), f.hint())
		}
	}
}

func TestFaultTextIsHarmless(t *testing.T) {
	b, _, err := parseReply(envelope(faultBody("w:x", "1", "a\n\tb&#x9b;31m"+strings.Repeat("z", 5000))))
	if err != nil {
		t.Fatal(err)
	}
	if s := b.fault(500).Error(); len(s) > 1000 || strings.ContainsAny(s, "\n\t\x1b\u009b") {
		t.Errorf("%d bytes: %.40q", len(s), s)
	}
}

func TestRepliesThatAreRefused(t *testing.T) {
	cases := map[string][]byte{
		"nothing":         nil,
		"html":            []byte("<html><body>no</body></html>"),
		"document type":   append([]byte(`<!DOCTYPE x [<!ENTITY e "e">]>`), envelope("")...),
		"no body":         []byte(`<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"/>`),
		"cut":             envelope("<rsp:ReceiveResponse>")[:300],
		"other namespace": bytes.ReplaceAll(envelope(""), []byte("2003/05/soap-envelope"), []byte("2001/soap-envelope")),
	}
	for name, b := range cases {
		if _, _, err := parseReply(b); !errors.Is(err, errReply) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestIDsThatAreRefused(t *testing.T) {
	for _, id := range []string{"", "a b", `"><evil/>`, strings.Repeat("A", 81), "a&amp;b"} {
		b, _, err := parseReply(envelope(`<rsp:CommandResponse><rsp:CommandId>` + id + `</rsp:CommandId></rsp:CommandResponse>`))
		if err != nil {
			continue
		}
		if got, err := b.commandID(); err == nil {
			t.Errorf("accepted %q", got)
		}
	}
}

func TestCheckRelation(t *testing.T) {
	ok := envelope(`<rsp:SendResponse/>`)
	if _, err := check(message{id: "uuid:1"}, 200, ok); err != nil {
		t.Error(err)
	}
	if _, err := check(message{id: "uuid:2"}, 200, ok); err == nil {
		t.Error("an answer to another request was taken")
	}
	if _, err := check(message{id: "uuid:1"}, 500, ok); err == nil {
		t.Error("status 500 without a fault was taken")
	}
}

func TestReceived(t *testing.T) {
	const id = "C-1"
	stream := func(name, command, data string) string {
		return fmt.Sprintf(`<rsp:Stream Name="%s" CommandId="%s">%s</rsp:Stream>`, name, command, data)
	}
	done := func(code string) string {
		return `<rsp:CommandState CommandId="C-1" State="` + stateDone + `"><rsp:ExitCode>` + code + `</rsp:ExitCode></rsp:CommandState>`
	}
	cases := []struct {
		name, body, out, errs string
		done, bad             bool
		exit                  int32
	}{
		{name: "several streams", body: stream("stdout", id, "YQ==") + stream("stderr", "c-1", "ZQ==") + stream("stdout", id, "Yg=="), out: "ab", errs: "e"},
		{name: "of another command", body: stream("stdout", "C-2", "YQ==")},
		{name: "running", body: `<rsp:CommandState CommandId="C-1" State="` + shellNS + `/CommandState/Running"/>`},
		{name: "done", body: stream("stdout", id, "") + done("3"), done: true, exit: 3},
		{name: "unsigned", body: done("3221225786"), done: true, exit: -1073741510},
		{name: "signed", body: done("-1"), done: true, exit: -1},
		{name: "no code", body: done(""), done: true},
		{name: "silly code", body: done("4294967296"), bad: true, done: true},
		{name: "no base64", body: stream("stdout", id, "&lt;"), bad: true},
	}
	for _, c := range cases {
		b, _, err := parseReply(envelope(`<rsp:ReceiveResponse>` + c.body + `</rsp:ReceiveResponse>`))
		if err != nil {
			t.Fatal(err)
		}
		o, err := b.received(id)
		if (err != nil) != c.bad || o.done != c.done || o.exit != c.exit || !c.bad && (string(o.stdout) != c.out || string(o.stderr) != c.errs) {
			t.Errorf("%s: %+v, %v", c.name, o, err)
		}
	}
}

func TestOnlySealedAnswersAreBelieved(t *testing.T) {
	l := &link{seals: &seals{sealer: steady{&ntlm.Session{}}, protocol: protocolNegotiate}}
	a := &answer{status: 200, header: map[string][]string{"Content-Type": {plainType}}, body: envelope("")}
	if _, err := l.plain(a); !errors.Is(err, errNotSealed) {
		t.Errorf("error %v", err)
	}
}

func sealedBody(head, length string, content []byte, tail string) []byte {
	b := []byte(head + "\r\n\tContent-Type: application/HTTP-SPNEGO-session-encrypted\r\n\tOriginalContent: type=x;Length=" + length +
		"\r\n" + boundary + "\r\n\tContent-Type: application/octet-stream\r\n")
	b = binary.LittleEndian.AppendUint32(b, 16)
	b = append(b, make([]byte, 16)...)
	return append(append(b, content...), tail...)
}

func TestSplitSealed(t *testing.T) {
	trap := []byte("--Encrypted Boundary--\r\n--Encrypted Boundary\r\n")
	if _, data, err := splitSealed(sealedBody(boundary, fmt.Sprint(len(trap)), trap, sealedTail)); err != nil || !bytes.Equal(data, trap) {
		t.Errorf("a boundary inside the content: %q, %v", data, err)
	}
	bad := map[string][]byte{
		"empty":       nil,
		"too long":    sealedBody(boundary, "5", []byte("abcd"), sealedTail),
		"too short":   sealedBody(boundary, "3", []byte("abcd"), sealedTail),
		"negative":    sealedBody(boundary, "-1", []byte("abcd"), sealedTail),
		"huge":        sealedBody(boundary, "9223372036854775807", []byte("abcd"), sealedTail),
		"no end":      sealedBody(boundary, "4", []byte("abcd"), ""),
		"endless row": []byte(strings.Repeat("x", 1000)),
	}
	for name, b := range bad {
		if _, _, err := splitSealed(b); !errors.Is(err, errSealed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzReply(f *testing.F) {
	f.Add(envelope(faultBody("w:TimedOut", "2150858793", "x")))
	f.Add(envelope(`<rsp:ReceiveResponse><rsp:Stream Name="stdout" CommandId="C">YQ==</rsp:Stream></rsp:ReceiveResponse>`))
	f.Add(envelope(`<x:ResourceCreated><a:ReferenceParameters><w:SelectorSet><w:Selector Name="ShellId">A</w:Selector></w:SelectorSet></a:ReferenceParameters></x:ResourceCreated>`))
	f.Fuzz(func(t *testing.T, b []byte) {
		body, _, err := parseReply(b)
		if err != nil {
			return
		}
		if id, err := body.shellID(); err == nil && !idPattern.MatchString(id) {
			t.Errorf("shell id %q", id)
		}
		if _, err := body.commandID(); err == nil && body.CommandID == "" {
			t.Error("command without an id")
		}
		if n := body.envelopeSize(); n < 0 || n > maxEnvelope {
			t.Errorf("envelope of %d bytes", n)
		}
		_, _ = body.received("C")
		if err := body.fault(500); err != nil && len(err.Error()) > 8<<10 {
			t.Errorf("an error of %d bytes", len(err.Error()))
		}
	})
}

func FuzzSealed(f *testing.F) {
	f.Add(sealedBody(boundary, "4", []byte("abcd"), sealedTail))
	f.Add(sealedBody("-- Encrypted Boundary", "0", nil, "-- Encrypted Boundary--\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		sig, data, err := splitSealed(b)
		if err == nil && (len(sig) > maxSignature || len(data) > len(b)) {
			t.Errorf("signature of %d bytes, data of %d", len(sig), len(data))
		}
	})
}

// The requests, byte for byte where hosts are picky.
func TestRequests(t *testing.T) {
	b := builder{url: "http://h:5985/wsman", timeout: 20 * time.Second, envelope: 512000}
	cases := map[string]struct {
		m    message
		want []string
	}{
		"create":    {b.create("a<b", 180*time.Second), []string{`<rsp:IdleTimeOut>PT180.000S</rsp:IdleTimeOut>`, `<rsp:Name>a&lt;b</rsp:Name>`, `<rsp:OutputStreams>stdout stderr<`}},
		"command":   {b.command("S", `a & "b" ]]>`), []string{`<w:Option Name="WINRS_CONSOLEMODE_STDIN">FALSE<`, `<w:Option Name="WINRS_SKIP_CMD_SHELL">FALSE<`, `<rsp:Command>a &amp; &#34;b&#34; ]]&gt;<`, `<w:Selector Name="ShellId">S<`}},
		"send":      {b.send(nil, "S", "C", []byte("hi"), true), []string{`<rsp:Stream Name="stdin" CommandId="C" End="true">aGk=<`}},
		"receive":   {b.receive("S", "C"), []string{`<rsp:DesiredStream CommandId="C">stdout stderr<`, `<w:OperationTimeout>PT20.000S<`, `<w:MaxEnvelopeSize mustUnderstand="true">512000<`}},
		"signal":    {b.signal("S", "C", signalTerminate), []string{`<rsp:Signal CommandId="C">`, `signal/terminate<`}},
		"delete":    {b.delete("S"), []string{`transfer/Delete<`, `<env:Body/>`}},
		"enumerate": {b.enumerate(), []string{`enumeration/Enumerate<`, `windows/shell</w:ResourceURI>`, `xmlns:n="http://schemas.xmlsoap.org/ws/2004/09/enumeration"`, `<w:OptimizeEnumeration/>`, `<w:MaxElements>100<`}},
		"config":    {b.config(), []string{`wsman/1/config<`, `transfer/Get<`}},
	}
	for name, c := range cases {
		for _, want := range append(c.want, c.m.id) {
			if !bytes.Contains(c.m.body, []byte(want)) {
				t.Errorf("%s lacks %s:\n%s", name, want, c.m.body)
			}
		}
	}
	if n := b.maxSend(); n < 379_000 || len(b.send(nil, newID(), newID(), make([]byte, n), true).body) > 512000 {
		t.Errorf("%d bytes in a Send", n)
	}
}
