package wsman

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
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
	children    []*element
}

// parseXML reads exactly one document. Document types, processing
// instructions, and whatever is too deep or too wide are refused.
func parseXML(b []byte) (*element, error) {
	p := xmlParser{decoder: xml.NewDecoder(bytes.NewReader(b))}
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
			p.open[len(p.open)-1].text += string(t)
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
		return strings.TrimSpace(c.text)
	}
	return ""
}

// escape makes s safe as text or attribute.
func escape(s string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(s)) // a Buffer takes everything
	return b.String()
}
