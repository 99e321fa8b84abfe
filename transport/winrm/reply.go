package winrm

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// reply is what a host answered; which fields are set depends on the request.
type reply struct {
	RelatesTo string   `xml:"Header>RelatesTo"`
	Body      *body    `xml:"http://www.w3.org/2003/05/soap-envelope Body"`
	XMLName   xml.Name `xml:"http://www.w3.org/2003/05/soap-envelope Envelope"`
}

type body struct {
	Fault    *soapFault `xml:"http://www.w3.org/2003/05/soap-envelope Fault"`
	Identify *struct{}  `xml:"http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd IdentifyResponse"`
	Config   *struct {
		MaxEnvelopeSizeKB string `xml:"MaxEnvelopeSizekb"`
		Service           struct {
			Operations string `xml:"MaxConcurrentOperationsPerUser"`
		} `xml:"Service"`
		Winrs struct {
			Shells    string `xml:"MaxShellsPerUser"`
			Processes string `xml:"MaxProcessesPerShell"`
			Memory    string `xml:"MaxMemoryPerShellMB"`
		} `xml:"Winrs"`
	} `xml:"http://schemas.microsoft.com/wbem/wsman/1/config Config"`
	Created *struct {
		Selectors []struct {
			Name  string `xml:"Name,attr"`
			Value string `xml:",chardata"`
		} `xml:"ReferenceParameters>SelectorSet>Selector"`
	} `xml:"http://schemas.xmlsoap.org/ws/2004/09/transfer ResourceCreated"`
	CommandID string         `xml:"http://schemas.microsoft.com/wbem/wsman/1/windows/shell CommandResponse>CommandId"`
	Shells    []shellItem    `xml:"EnumerateResponse>Items>Shell"`
	Received  *receivedReply `xml:"http://schemas.microsoft.com/wbem/wsman/1/windows/shell ReceiveResponse"`
}

type receivedReply struct {
	Streams []struct {
		Name      string `xml:"Name,attr"`
		CommandID string `xml:"CommandId,attr"`
		Data      string `xml:",chardata"`
	} `xml:"Stream"`
	State *struct {
		State    string `xml:"State,attr"`
		ExitCode string `xml:"ExitCode"`
	} `xml:"CommandState"`
}

type soapFault struct {
	Subcode string `xml:"Code>Subcode>Value"`
	Reason  string `xml:"Reason>Text"`
	Detail  struct {
		WSMan *struct {
			Code    string `xml:"Code,attr"`
			Message struct {
				Text     string `xml:",chardata"`
				Provider *struct {
					Path string `xml:"path,attr"`
				} `xml:"ProviderFault"`
			} `xml:"Message"`
		} `xml:"WSManFault"`
	} `xml:"Detail"`
}

// output is what one Receive brought.
type output struct {
	stdout, stderr []byte
	done           bool
	exit           int32
}

var errReply = errors.New("malformed reply")

// parseReply reads an envelope. A document type is refused: nothing honest
// sends one, and it is the door to every attack by entities.
func parseReply(b []byte) (*body, string, error) {
	if bytes.Contains(b, []byte("<!DOCTYPE")) || bytes.Contains(b, []byte("<!ENTITY")) {
		return nil, "", fmt.Errorf("%w: document type", errReply)
	}
	var r reply
	if err := xml.Unmarshal(b, &r); err != nil {
		return nil, "", fmt.Errorf("%w: %v", errReply, err)
	}
	if r.Body == nil {
		return nil, "", fmt.Errorf("%w: no body", errReply)
	}
	return r.Body, strings.TrimSpace(r.RelatesTo), nil
}

// fault gives the reply's fault as an error, or nil.
func (b *body) fault(status int) error {
	if b.Fault == nil {
		return nil
	}
	f := &Fault{Status: status, Subcode: local(b.Fault.Subcode), Reason: clean(b.Fault.Reason)}
	if w := b.Fault.Detail.WSMan; w != nil {
		code, err := strconv.ParseUint(w.Code, 10, 32)
		if err == nil {
			f.Code = uint32(code)
		}
		if text := clean(w.Message.Text); text != "" {
			f.Reason = text
		}
		if w.Message.Provider != nil {
			f.Provider = clean(w.Message.Provider.Path)
		}
	}
	return f
}

func (b *body) shellID() (string, error) {
	if b.Created != nil {
		for _, s := range b.Created.Selectors {
			if s.Name == "ShellId" {
				return checkID(s.Value)
			}
		}
	}
	return "", fmt.Errorf("%w: no shell id", errReply)
}

func (b *body) commandID() (string, error) { return checkID(b.CommandID) }

// received decodes the streams of one command.
func (b *body) received(command string) (output, error) {
	var o output
	if b.Received == nil {
		return o, fmt.Errorf("%w: no streams", errReply)
	}
	for _, s := range b.Received.Streams {
		if !strings.EqualFold(s.CommandID, command) {
			continue
		}
		data, err := base64.StdEncoding.DecodeString(strings.TrimSpace(s.Data))
		if err != nil {
			return o, fmt.Errorf("%w: stream %q: %v", errReply, clean(s.Name), err)
		}
		switch s.Name {
		case "stdout":
			o.stdout = append(o.stdout, data...)
		case "stderr":
			o.stderr = append(o.stderr, data...)
		}
	}
	if st := b.Received.State; st != nil && st.State == stateDone {
		o.done = true
		return o, o.setExit(st.ExitCode)
	}
	return o, nil
}

// setExit takes the code as hosts write it: unsigned 32-bit, seldom signed.
func (o *output) setExit(s string) error {
	if s = strings.TrimSpace(s); s == "" {
		return nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < -1<<31 || n >= 1<<32 {
		return fmt.Errorf("%w: exit code %q", errReply, clean(s))
	}
	o.exit = int32(uint32(n))
	return nil
}

// envelopeSize is the host's limit in bytes, or 0 if it did not say.
func (b *body) envelopeSize() int {
	if b.Config == nil {
		return 0
	}
	kb, err := strconv.Atoi(strings.TrimSpace(b.Config.MaxEnvelopeSizeKB))
	if err != nil || kb < 32 {
		return 0
	}
	return min(kb, maxEnvelope/1024) * 1024
}

var idPattern = regexp.MustCompile(`^[0-9A-Za-z:._-]{1,80}$`)

// checkID accepts an id of the host, which goes back into requests unescaped.
func checkID(s string) (string, error) {
	if s = strings.TrimSpace(s); !idPattern.MatchString(s) {
		return "", fmt.Errorf("%w: id %q", errReply, clean(s))
	}
	return s, nil
}

// clean bounds and flattens text of a host before it reaches a person.
func clean(s string) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "?")), " ")
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, s)
	if r := []rune(s); len(r) > 300 {
		return string(r[:300]) + "…"
	}
	return s
}

// local is a qualified name without its prefix.
func local(s string) string {
	s = clean(s)
	return s[strings.LastIndex(s, ":")+1:]
}
