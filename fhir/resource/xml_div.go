package resource

import (
	"encoding/xml"
	"strconv"
	"strings"

	"github.com/starling-fhir/starling/fhir"
)

// div reads a narrative whose start was read last, as it stands in JSON: the
// text between <div and </div>, both included, as written. Where that would not
// mean the same by itself it is changed: prefixes of the XHTML namespace go, the
// div declares the namespace if something around it did, and CDATA sections
// become text.
//
// https://hl7.org/fhir/R4/narrative.html
func (d *xmlDecoder) div() (Node, error) {
	var out strings.Builder
	begin, done := d.start, d.start // data[begin:done] is in out
	edit := func(from, to int, text string) {
		out.WriteString(d.data[done:from])
		out.WriteString(text)
		done = to
	}
	for depth, kind := 0, xmlStart; ; {
		switch kind {
		case xmlStart:
			if err := d.divTag(depth == 0, edit); err != nil {
				return Node{}, err
			}
			depth++
		case xmlEnd:
			if i := strings.IndexByte(d.text, ':'); i >= 0 && d.pos > d.start {
				edit(d.start, d.pos, "</"+d.text[i+1:]+">")
			}
			if depth--; depth == 0 {
				if out.Len() == 0 {
					return Text(d.data[begin:d.pos]), nil
				}
				edit(d.pos, d.pos, "")
				return Text(out.String()), nil
			}
		case xmlCDATA:
			edit(d.start, d.pos, string(appendXMLText(nil, d.text)))
		case xmlPI:
			edit(d.start, d.pos, "")
		}
		var err error
		if kind, err = d.next(); err != nil {
			return Node{}, err
		}
	}
}

// divTag looks at a start tag of a narrative.
func (d *xmlDecoder) divTag(root bool, edit func(from, to int, text string)) error {
	t := &d.tag
	if uri, _ := d.namespace(t.prefix); uri != xhtmlNamespace {
		return d.problem(d.start, "<"+fhir.Clip(t.name)+"> is not in the namespace "+xhtmlNamespace)
	}
	for i := range t.attributes {
		if a := &t.attributes[i]; a.prefix != "" && a.prefix != "xml" {
			return d.problem(a.at, "the attribute "+fhir.Clip(a.prefix+":"+a.local)+" is not allowed in a narrative")
		}
	}
	if t.prefix == "" && !t.declares && (!root || t.xmlns) {
		return nil
	}
	tag := []byte("<" + t.local)
	if root {
		tag = append(tag, ` xmlns="`+xhtmlNamespace+`"`...)
	}
	for i := range t.attributes {
		a := &t.attributes[i]
		tag = append(tag, ' ')
		if a.prefix != "" {
			tag = append(tag, a.prefix+":"...)
		}
		tag = append(tag, a.local+"="+a.raw...)
	}
	if t.empty {
		tag = append(tag, '/')
	}
	edit(d.start, d.pos, string(tag)+">")
	return nil
}

// divXML returns a narrative's div, as JSON has it, for an XML document: the
// entities of HTML, which XML does not define, become characters, and comments
// and texts lose what only HTML allows. ok is false if it is no narrative or
// holds what XML cannot.
func divXML(div string) (text string, ok bool) {
	if narrativeProblem(div) != "" || xmlText(div) >= 0 {
		return "", false
	}
	if !strings.ContainsAny(div, "&") && !strings.Contains(div, "<!--") && !strings.Contains(div, "]]>") {
		return div, true
	}
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(div, "<!--")
		if !divText(&out, before) {
			return "", false
		}
		if !found {
			return out.String(), true
		}
		comment, after, _ := strings.Cut(rest, "-->")
		out.WriteString("<!--")
		for strings.Contains(comment, "--") {
			comment = strings.ReplaceAll(comment, "--", "- -")
		}
		out.WriteString(comment)
		if strings.HasSuffix(comment, "-") {
			out.WriteByte(' ')
		}
		out.WriteString("-->")
		div = after
	}
}

// divText writes tags and texts without comments. It returns false if a
// reference names a character that XML cannot hold.
func divText(out *strings.Builder, text string) bool {
	text = strings.ReplaceAll(text, "]]>", "]]&gt;")
	for {
		before, rest, found := strings.Cut(text, "&")
		out.WriteString(before)
		if !found {
			return true
		}
		name, after, _ := strings.Cut(rest, ";")
		html := xml.HTMLEntity[name]
		switch {
		case xmlReference(name) != 0:
			out.WriteString("&" + name + ";")
		case html != "" && name[0] != '#':
			for _, r := range html {
				out.WriteString("&#" + strconv.Itoa(int(r)) + ";")
			}
		default:
			return false
		}
		text = after
	}
}
