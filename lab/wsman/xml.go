package wsman

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Bounds of what a client may send, beside the envelope size.
const (
	maxDepth    = 24
	maxElements = 2000
)

// element is one XML element. Attributes are kept by local name.
type element struct {
	space, name string
	attributes  map[string]string
	text        string
	long        []byte // instead of text: a long one, in the memory of the message
	children    []*element
}

// parseXML reads exactly one document. Document types, processing
// instructions, and whatever is too deep or too wide are refused.
func parseXML(b []byte) (*element, error) {
	b, long := detach(b)
	p := xmlParser{decoder: xml.NewDecoder(bytes.NewReader(b)), long: long}
	p.decoder.Strict = true
	p.decoder.Entity = map[string]string{}
	for {
		token, err := p.decoder.Token()
		if errors.Is(err, io.EOF) {
			return p.result()
		}
		if err != nil {
			return nil, fmt.Errorf("parse envelope: %w", err)
		}
		if err := p.take(token); err != nil {
			return nil, fmt.Errorf("parse envelope: %w", err)
		}
	}
}

type xmlParser struct {
	decoder *xml.Decoder
	root    *element
	open    []*element
	count   int
	long    []byte // what detach took out
}

func (p *xmlParser) result() (*element, error) {
	if p.root == nil {
		return nil, errors.New("parse envelope: no element")
	}
	return p.root, nil
}

func (p *xmlParser) take(token xml.Token) error {
	switch t := token.(type) {
	case xml.StartElement:
		return p.start(t)
	case xml.EndElement:
		p.open = p.open[:len(p.open)-1]
	case xml.CharData:
		if len(p.open) > 0 {
			p.open[len(p.open)-1].add(t, p.long)
		} else if len(bytes.TrimSpace(t)) > 0 {
			return errors.New("text outside of the envelope")
		}
	case xml.Directive:
		return errors.New("document type declarations are not allowed")
	case xml.ProcInst:
		if t.Target != "xml" || p.root != nil {
			return errors.New("processing instructions are not allowed")
		}
	}
	return nil
}

func (p *xmlParser) start(t xml.StartElement) error {
	p.count++
	if p.count > maxElements || len(p.open) >= maxDepth {
		return errors.New("too many elements")
	}
	e := &element{space: t.Name.Space, name: t.Name.Local}
	for _, a := range t.Attr {
		if e.attributes == nil {
			e.attributes = map[string]string{}
		}
		e.attributes[a.Name.Local] = a.Value
	}
	switch {
	case len(p.open) > 0:
		parent := p.open[len(p.open)-1]
		parent.children = append(parent.children, e)
	case p.root != nil:
		return errors.New("more than one envelope")
	default:
		p.root = e
	}
	p.open = append(p.open, e)
	return nil
}

// longText is from which length on a text is worth detaching, and mark is what
// stands in its place: a character that nobody may use for anything.
const (
	longText = 8 << 10
	mark     = "\ue000"
)

// detach takes the first long and plain text out of a document: the general
// parser looks at every byte several times, and nearly all bytes that ever
// come are the data of a Send.
func detach(b []byte) (short, long []byte) {
	for at := 0; len(b)-at > longText; {
		open := bytes.IndexByte(b[at:], '>')
		if open < 0 {
			break
		}
		at += open + 1
		length := bytes.IndexByte(b[at:], '<')
		if length < longText || !isVerbatim(b[at:at+length]) || bytes.Contains(b, []byte(mark)) {
			continue
		}
		short = append(append(append(make([]byte, 0, len(b)-length+len(mark)), b[:at]...), mark...), b[at+length:]...)
		return short, b[at : at+length]
	}
	return b, nil
}

// isVerbatim says that the text means what is written: nothing to resolve in
// it. What a parser would refuse in it for other reasons, the decoder of
// base64 refuses as well.
func isVerbatim(b []byte) bool {
	for _, c := range []byte("&>\r\"'") {
		if bytes.IndexByte(b, c) >= 0 {
			return false
		}
	}
	return utf8.Valid(b)
}

// add appends text, with what was taken out of it.
func (e *element) add(text, long []byte) {
	switch {
	case long == nil || !bytes.Contains(text, []byte(mark)):
		e.text = e.content() + string(text)
		e.long = nil
	case string(text) == mark && e.text == "":
		e.long = long
	default:
		e.text = e.content() + strings.ReplaceAll(string(text), mark, string(long))
		e.long = nil
	}
}

// content is all text of the element.
func (e *element) content() string {
	if e.long != nil {
		return string(e.long)
	}
	return e.text
}

// bytes is the trimmed text; of a long one it is the message's own memory.
func (e *element) bytes() []byte {
	if e.long != nil {
		return bytes.TrimSpace(e.long)
	}
	return []byte(strings.TrimSpace(e.text))
}

// child is the first child of that name, nil if there is none.
func (e *element) child(space, name string) *element {
	if e == nil {
		return nil
	}
	for _, c := range e.children {
		if c.space == space && c.name == name {
			return c
		}
	}
	return nil
}

// value is the trimmed text of the child of that name.
func (e *element) value(space, name string) string {
	if c := e.child(space, name); c != nil {
		return strings.TrimSpace(c.content())
	}
	return ""
}

// escape makes s safe as text or attribute.
func escape(s string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(s)) // a Buffer takes everything
	return b.String()
}
