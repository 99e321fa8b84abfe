package wsman

import (
	"errors"
	"fmt"
	"strconv"
)

// faultKind is a fault as the service words it: who is to blame, the subcode,
// and Windows' own number, which is what clients decide on.
type faultKind struct {
	sender  bool
	subcode string
	code    uint32
	detail  string // name of a fault detail, may be empty
}

var (
	faultTimedOut      = faultKind{false, "w:TimedOut", 2150858793, "OperationTimeout"}
	faultNoShell       = faultKind{true, "w:InvalidSelectors", 2150858843, "UnexpectedSelectors"}
	faultInvalidHeader = faultKind{true, "a:InvalidMessageInformationHeader", 2150858767, ""}
	faultParameter     = faultKind{true, "w:InvalidParameter", 87, ""}
	faultSchema        = faultKind{true, "w:SchemaValidationError", 2150858817, ""}
	faultAction        = faultKind{true, "a:ActionNotSupported", 2150858753, ""}
	faultResource      = faultKind{true, "a:DestinationUnreachable", 2150858752, "InvalidResourceURI"}
	faultShells        = faultKind{false, "w:QuotaLimit", 2150859173, ""}
	faultOperations    = faultKind{false, "w:QuotaLimit", 2150859174, ""}
	faultBusy          = faultKind{false, "w:InternalError", 170, ""}
	faultAborted       = faultKind{false, "w:InternalError", 995, ""}
	faultPipeEnded     = faultKind{false, "w:InternalError", 109, ""}
	faultNoFile        = faultKind{false, "w:InternalError", 2147942402, ""}
	faultInternal      = faultKind{false, "w:InternalError", 1359, ""}
)

// fault is an error that travels to the client.
type fault struct {
	kind    faultKind
	message string
}

func (f *fault) Error() string { return fmt.Sprintf("%s (code %d)", f.message, f.kind.code) }

func faultf(k faultKind, format string, args ...any) error {
	return &fault{kind: k, message: fmt.Sprintf(format, args...)}
}

// asFault makes a fault of any error.
func asFault(err error) *fault {
	var f *fault
	if errors.As(err, &f) {
		return f
	}
	return &fault{kind: faultInternal, message: err.Error()}
}

// envelope is the fault as a reply to r.
func (f *fault) envelope(r request, machine string) []byte {
	family, role := nsWSMan, "s:Receiver"
	if f.kind.subcode[0] == 'a' {
		family = nsAddressing
	}
	if f.kind.sender {
		role = "s:Sender"
	}
	action := "http://schemas.dmtf.org/wbem/wsman/1/wsman/fault"
	if family == nsAddressing {
		action = nsAddressing + "/fault"
	}
	detail := ""
	if f.kind.detail != "" {
		detail = `<w:FaultDetail>http://schemas.dmtf.org/wbem/wsman/1/wsman/faultDetail/` + f.kind.detail + `</w:FaultDetail>`
	}
	text := escape(f.message)
	return envelope(r, action, `<s:Fault><s:Code><s:Value>`+role+`</s:Value><s:Subcode><s:Value>`+f.kind.subcode+
		`</s:Value></s:Subcode></s:Code><s:Reason><s:Text xml:lang="en-US">`+text+`</s:Text></s:Reason><s:Detail>`+detail+
		`<f:WSManFault xmlns:f="`+nsFault+`" Code="`+strconv.FormatUint(uint64(f.kind.code), 10)+`" Machine="`+escape(machine)+
		`"><f:Message>`+text+`</f:Message></f:WSManFault></s:Detail></s:Fault>`)
}
