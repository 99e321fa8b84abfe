package winrm

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"strings"
	"time"

	"github.com/masterzen/winrm/soap"
)

// Actions and resources of WS-Management (MS-WSMV 3.1.4).
const (
	shellNS        = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell"
	transferNS     = "http://schemas.xmlsoap.org/ws/2004/09/transfer"
	resourceShell  = shellNS + "/cmd"
	resourceConfig = "http://schemas.microsoft.com/wbem/wsman/1/config"
	anonymous      = "http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous"

	actionCreate  = transferNS + "/Create"
	actionDelete  = transferNS + "/Delete"
	actionGet     = transferNS + "/Get"
	actionCommand = shellNS + "/Command"
	actionSend    = shellNS + "/Send"
	actionReceive = shellNS + "/Receive"
	actionSignal  = shellNS + "/Signal"

	signalTerminate = shellNS + "/signal/terminate"
	stateDone       = shellNS + "/CommandState/Done"
)

const identify = `<?xml version="1.0" encoding="utf-8"?>` +
	`<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:i="http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd">` +
	`<s:Header/><s:Body><i:Identify/></s:Body></s:Envelope>`

// message is one request. Its id comes back in the reply's RelatesTo.
type message struct {
	phase string
	id    string
	body  []byte
}

// builder knows what all requests to a host have in common.
type builder struct {
	url      string
	timeout  time.Duration // OperationTimeout
	envelope int           // largest envelope either side takes, in bytes
}

type option struct{ name, value string }

func (b builder) start(action, resource, shell string, options ...option) (*soap.SoapMessage, string) {
	m, id := soap.NewMessage(), newID()
	h := m.Header().To(b.url).ReplyTo(anonymous).MaxEnvelopeSize(b.envelope).Id(id).Locale("en-US").
		Timeout(fmt.Sprintf("PT%.3fS", b.timeout.Seconds())).Action(action).ResourceURI(resource).ShellId(shell)
	for _, o := range options {
		h.AddOption(soap.NewHeaderOption(o.name, o.value))
	}
	h.Build()
	return m, id
}

func finish(phase, id string, m *soap.SoapMessage) message {
	return message{phase: phase, id: id, body: []byte(m.String())}
}

// create asks for a shell. The idle timeout frees what a controller that
// died has left behind; the name tells an administrator whose it is.
func (b builder) create(name string, idle time.Duration) message {
	m, id := b.start(actionCreate, resourceShell, "", option{"WINRS_NOPROFILE", "FALSE"}, option{"WINRS_CODEPAGE", "65001"})
	shell := m.CreateBodyElement("Shell", soap.DOM_NS_WIN_SHELL)
	for _, e := range []option{
		{"InputStreams", "stdin"},
		{"OutputStreams", "stdout stderr"},
		{"IdleTimeOut", fmt.Sprintf("PT%.3fS", idle.Seconds())},
		{"Name", escape(name)},
	} {
		m.CreateElement(shell, e.name, soap.DOM_NS_WIN_SHELL).SetContent(e.value)
	}
	return finish("create", id, m)
}

// command starts a program. Its stdin is a pipe and not a console: only so
// do bytes arrive unchanged and with an end.
func (b builder) command(shell, line string) message {
	m, id := b.start(actionCommand, resourceShell, shell,
		option{"WINRS_CONSOLEMODE_STDIN", "FALSE"}, option{"WINRS_SKIP_CMD_SHELL", "FALSE"})
	body := m.CreateBodyElement("CommandLine", soap.DOM_NS_WIN_SHELL)
	m.CreateElement(body, "Command", soap.DOM_NS_WIN_SHELL).SetContent(escape(line))
	return finish("command", id, m)
}

// send writes its message into buf, which is used again for the next one.
func (b builder) send(buf []byte, shell, command string, data []byte, end bool) message {
	m, id := b.start(actionSend, resourceShell, shell)
	body := m.CreateBodyElement("Send", soap.DOM_NS_WIN_SHELL)
	stream := m.CreateElement(body, "Stream", soap.DOM_NS_WIN_SHELL)
	stream.SetAttr("Name", "stdin").SetAttr("CommandId", command)
	if end {
		stream.SetAttr("End", "true")
	}
	const mark = "\x00" // keeps the data from being copied by the builder again and again
	stream.SetContent(mark)
	head, tail, _ := strings.Cut(m.String(), mark)
	out := room(buf, len(head)+base64.StdEncoding.EncodedLen(len(data))+len(tail))
	out = base64.StdEncoding.AppendEncode(append(out, head...), data)
	return message{phase: "send", id: id, body: append(out, tail...)}
}

// little is a message that is not worth keeping memory for.
const little = 16 << 10

// room gives an empty buffer for n bytes: buf, unless it is too small, or so
// much too large that keeping it would waste memory while nothing is pushed.
func room(buf []byte, n int) []byte {
	if cap(buf) < n || cap(buf) > little && n < cap(buf)/8 {
		return make([]byte, 0, n)
	}
	return buf[:0]
}

func (b builder) receive(shell, command string) message {
	m, id := b.start(actionReceive, resourceShell, shell, option{"WSMAN_CMDSHELL_OPTION_KEEPALIVE", "TRUE"})
	body := m.CreateBodyElement("Receive", soap.DOM_NS_WIN_SHELL)
	m.CreateElement(body, "DesiredStream", soap.DOM_NS_WIN_SHELL).SetAttr("CommandId", command).SetContent("stdout stderr")
	return finish("receive", id, m)
}

func (b builder) signal(shell, command, code string) message {
	m, id := b.start(actionSignal, resourceShell, shell)
	body := m.CreateBodyElement("Signal", soap.DOM_NS_WIN_SHELL)
	body.SetAttr("CommandId", command)
	m.CreateElement(body, "Code", soap.DOM_NS_WIN_SHELL).SetContent(code)
	return finish("signal", id, m)
}

func (b builder) delete(shell string) message {
	m, id := b.start(actionDelete, resourceShell, shell)
	m.NewBody()
	return finish("delete", id, m)
}

// config asks for the host's limits.
func (b builder) config() message {
	m, id := b.start(actionGet, resourceConfig, "")
	m.NewBody()
	return finish("config", id, m)
}

// maxSend is how many raw bytes fit one Send beside its own envelope.
func (b builder) maxSend() int {
	const id = "00000000-0000-0000-0000-000000000000"
	const sealing = 512 // multipart headers and signature, which the host may count
	return max((b.envelope-len(b.send(nil, id, id, nil, true).body)-sealing)/4*3, 1024)
}

// escape makes s fit an element: the builders write content as it is.
func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a strings.Builder never fails
	return b.String()
}

// newID is a random (version 4) uuid.
func newID() string {
	var b [16]byte
	rand.Read(b[:]) //nolint:errcheck // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("uuid:%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
