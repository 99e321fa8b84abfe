package wsman

import (
	"crypto/rand"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Namespaces.
const (
	nsSOAP       = "http://www.w3.org/2003/05/soap-envelope"
	nsAddressing = "http://schemas.xmlsoap.org/ws/2004/08/addressing"
	nsWSMan      = "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd"
	nsMicrosoft  = "http://schemas.microsoft.com/wbem/wsman/1/wsman.xsd"
	nsShell      = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell"
	nsTransfer   = "http://schemas.xmlsoap.org/ws/2004/09/transfer"
	nsEnumerate  = "http://schemas.xmlsoap.org/ws/2004/09/enumeration"
	nsIdentify   = "http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd"
	nsConfig     = "http://schemas.microsoft.com/wbem/wsman/1/config"
	nsFault      = "http://schemas.microsoft.com/wbem/wsman/1/wsmanfault"
	anonymous    = nsAddressing + "/role/anonymous"
)

// Resources and actions.
const (
	resourceCmd    = nsShell + "/cmd"
	resourceConfig = nsConfig

	actionEnumerate = nsEnumerate + "/Enumerate"

	actionCreate  = nsTransfer + "/Create"
	actionDelete  = nsTransfer + "/Delete"
	actionGet     = nsTransfer + "/Get"
	actionCommand = nsShell + "/Command"
	actionSend    = nsShell + "/Send"
	actionReceive = nsShell + "/Receive"
	actionSignal  = nsShell + "/Signal"
)

// request is an envelope, taken apart.
type request struct {
	action, messageID, resource string
	timeout                     time.Duration // how long the operation may take
	maxEnvelope                 int           // largest reply that the client takes, in bytes
	selectors, options          map[string]string
	body                        *element // the first element of the body
}

// maxTimeout is the host's MaxTimeoutms, and the default of the operations.
const maxTimeout = 60 * time.Second

func parseRequest(b []byte) (request, error) {
	root, err := parseXML(b)
	if err != nil {
		return request{}, err
	}
	if root.space != nsSOAP || root.name != "Envelope" {
		return request{}, fmt.Errorf("parse envelope: it is a %q", root.name)
	}
	header := root.child(nsSOAP, "Header")
	r := request{
		action:      header.value(nsAddressing, "Action"),
		messageID:   header.value(nsAddressing, "MessageID"),
		resource:    header.value(nsWSMan, "ResourceURI"),
		timeout:     maxTimeout,
		maxEnvelope: 150 << 10,
		selectors:   named(header.child(nsWSMan, "SelectorSet"), "Selector"),
		options:     named(header.child(nsWSMan, "OptionSet"), "Option"),
	}
	if body := root.child(nsSOAP, "Body"); body != nil && len(body.children) > 0 {
		r.body = body.children[0]
	}
	return r, r.limits(header)
}

// limits reads what the client says about size and time.
func (r *request) limits(header *element) error {
	if s := header.value(nsWSMan, "MaxEnvelopeSize"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 8<<10 {
			return faultf(faultInvalidHeader, "the MaxEnvelopeSize %q is not valid", s)
		}
		r.maxEnvelope = min(n, 10<<20)
	}
	if s := header.value(nsWSMan, "OperationTimeout"); s != "" {
		d, err := parseDuration(s)
		if err != nil {
			return faultf(faultInvalidHeader, "the OperationTimeout %q is not valid", s)
		}
		r.timeout = min(d, maxTimeout)
	}
	return nil
}

// named collects the children called name by their Name attribute.
func named(set *element, name string) map[string]string {
	out := map[string]string{}
	if set == nil {
		return out
	}
	for _, c := range set.children {
		if c.name == name {
			out[c.attributes["Name"]] = strings.TrimSpace(c.content())
		}
	}
	return out
}

// option reports a boolean option.
func (r request) option(name string, otherwise bool) bool {
	s, ok := r.options[name]
	if !ok {
		return otherwise
	}
	return strings.EqualFold(s, "true") || s == "1"
}

var duration = regexp.MustCompile(`^P(?:(\d{1,5})D)?(?:T(?:(\d{1,6})H)?(?:(\d{1,8})M)?(?:(\d{1,9}(?:\.\d{1,9})?)S)?)?$`)

// parseDuration reads an XML duration of days and less: PT1H30M, PT0.5S.
func parseDuration(s string) (time.Duration, error) {
	m := duration.FindStringSubmatch(s)
	if m == nil || len(s) < 3 || strings.HasSuffix(s, "T") {
		return 0, fmt.Errorf("parse duration %q", s)
	}
	var total float64
	for i, unit := range []float64{86400, 3600, 60, 1} {
		n, _ := strconv.ParseFloat(m[i+1], 64) // absent is 0
		total += n * unit
	}
	return time.Duration(total * float64(time.Second)), nil
}

// formatDuration writes a duration as the service does.
func formatDuration(d time.Duration) string { return fmt.Sprintf("PT%.3fS", d.Seconds()) }

// envelope wraps body into a reply to r.
func envelope(r request, action, body string) []byte {
	var b strings.Builder
	b.Grow(len(body) + 900)
	b.WriteString(`<s:Envelope xml:lang="en-US" xmlns:s="` + nsSOAP + `" xmlns:a="` + nsAddressing +
		`" xmlns:x="` + nsTransfer + `" xmlns:w="` + nsWSMan + `" xmlns:rsp="` + nsShell + `" xmlns:p="` + nsMicrosoft + `">`)
	b.WriteString(`<s:Header><a:Action>` + action + `</a:Action><a:MessageID>uuid:` + newGUID() + `</a:MessageID><a:To>` + anonymous + `</a:To>`)
	if r.messageID != "" {
		b.WriteString(`<a:RelatesTo>` + escape(r.messageID) + `</a:RelatesTo>`)
	}
	b.WriteString(`</s:Header><s:Body>` + body + `</s:Body></s:Envelope>`)
	return []byte(b.String())
}

// newGUID is a random identifier in upper case, as the service's are.
func newGUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%X-%X-%X-%X-%X", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
