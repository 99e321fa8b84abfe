package wsman

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-shipper/shipper/lab/wsman/ntlm"
)

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"PT20S": 20 * time.Second, "PT0.5S": 500 * time.Millisecond, "PT1M": time.Minute, "P1DT2H3M4.25S": 26*time.Hour + 3*time.Minute + 4250*time.Millisecond,
		"P0DT0H0M60.000S": time.Minute,
	} {
		if got, err := parseDuration(text); err != nil || got != want {
			t.Errorf("%s: %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "P", "PT", "PT-1S", "20", "PT1", "PT1S1M", "P1Y", "PT99999999999999999999S", "PT1S "} {
		if got, err := parseDuration(text); err == nil {
			t.Errorf("%q: accepted as %v", text, got)
		}
	}
}

func TestXMLIsStrict(t *testing.T) {
	deep := strings.Repeat("<a>", maxDepth+1) + strings.Repeat("</a>", maxDepth+1)
	wide := "<a>" + strings.Repeat("<b/>", maxElements) + "</a>"
	for name, text := range map[string]string{
		"doctype": `<!DOCTYPE a><a/>`, "entity": `<a>&e;</a>`, "instruction": `<?php x?><a/>`, "instruction inside": `<a><?xml version="1.0"?></a>`,
		"two": `<a/><b/>`, "text before": `x<a/>`, "text after": `<a/>x`, "open": `<a>`, "crossed": `<a><b></a></b>`, "deep": deep, "wide": wide, "empty": "",
	} {
		if _, err := parseXML([]byte(text)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	e, err := parseXML([]byte(`<?xml version="1.0"?><!-- note --><a:x xmlns:a="n"><a:y k="v"> t &lt; </a:y></a:x>`))
	if err != nil || e.value("n", "y") != "t <" || e.child("n", "y").attributes["k"] != "v" {
		t.Errorf("%+v, %v", e, err)
	}
}

// A long text is parsed by another way, and must come out the same.
func TestLongTextIsDetached(t *testing.T) {
	data := strings.Repeat("QUJD+/09", longText)
	for name, test := range map[string]struct{ document, want string }{
		"plain":        {`<a><b c=">">` + data + `</b></a>`, data},
		"with cdata":   {`<a><b>x<![CDATA[<q>` + data + `<]]></b></a>`, "x<q>" + data + "<"},
		"with entity":  {`<a><b>` + data + `&lt;</b></a>`, data + "<"},
		"in a comment": {`<a><!-- >` + data + `< --><b>t</b></a>`, "t"},
		"mark":         {`<a><d>` + mark + `</d><b>` + data + `</b></a>`, data},
		"no base64":    {`<a><b>` + data + ` </b></a>`, data},
	} {
		e, err := parseXML([]byte(test.document))
		if err != nil || e.value("", "b") != test.want {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := parseXML([]byte(`<a b=">` + data + `<"/>`)); err == nil {
		t.Error("< inside of an attribute: accepted")
	}
}

// What could not be delivered comes again, in order and whole.
func TestTakenOutputComesBack(t *testing.T) {
	c := newCommand("ID", false)
	c.streams[0].data = []byte("0123456789")
	c.streams[1].data = []byte("err")
	first, _, _, _ := c.take(4)
	c.takeBack(first)
	c.change(func() { c.exited, c.exit = true, 5 })
	all, _, _, _ := c.take(1000)
	if string(all.data[0]) != "0123456789" || string(all.data[1]) != "err" || !all.done || all.exit != 5 || !all.ended[0] {
		t.Errorf("%+v", all)
	}
	c.takeBack(all)
	again, _, _, _ := c.take(1000)
	if !slices.Equal(again.data[0], all.data[0]) || !again.ended[0] || !again.ended[1] {
		t.Errorf("again: %+v", again)
	}
}

func FuzzParseRequest(f *testing.F) {
	f.Add([]byte(`<s:Envelope xmlns:s="` + nsSOAP + `" xmlns:w="` + nsWSMan + `"><s:Header><w:OperationTimeout>PT5S</w:OperationTimeout></s:Header><s:Body/></s:Envelope>`))
	f.Add([]byte(`<!DOCTYPE x><x/>`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseRequest(b)
		if err == nil && (r.timeout < 0 || r.timeout > maxTimeout || r.maxEnvelope <= 0) {
			t.Errorf("limits: %+v", r)
		}
	})
}

func FuzzUnseal(f *testing.F) {
	f.Add([]byte(boundary + "\r\n\tContent-Type: " + negotiateSealed + "\r\n\tOriginalContent: type=application/soap+xml;charset=UTF-8;Length=0\r\n" +
		boundary + "\r\n" + octets + "\x10\x00\x00\x00" + strings.Repeat("s", 16) + boundary + "--\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if plain, err := unseal(ntlm.NewAcceptor("X", nil), b); err == nil {
			t.Errorf("opened without keys: %q", plain)
		}
	})
}
