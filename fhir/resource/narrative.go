package resource

import (
	"encoding/xml"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/starling-fhir/starling/fhir"
)

// Narrative rules, https://hl7.org/fhir/R4/narrative.html#xhtml: one div in the
// XHTML namespace, well-formed, with the basic formatting elements of HTML 4.0
// (chapters 7-11 and 15), no scripts, no forms, no external style, no event
// attributes.

// htmlElements are the elements a narrative may hold.
var htmlElements = wordSet(`
	a abbr acronym address area b bdo big blockquote br caption cite code col colgroup dd del dfn div dl dt
	em h1 h2 h3 h4 h5 h6 hr i img ins kbd li map ol p pre q s samp small span strike strong sub sup
	table tbody td tfoot th thead tr tt u ul var center font dir menu`)

// htmlAttributes are the attributes any of them may have. Whether an attribute
// fits its element is not checked.
var htmlAttributes = wordSet(`
	abbr accesskey align alt axis bgcolor border cellpadding cellspacing char charoff charset cite class clear
	color colspan compact coords datetime dir face frame headers height href hreflang hspace id ismap lang
	longdesc name nohref noshade nowrap rel rev rowspan rules scope shape size span src start style summary
	tabindex target title type usemap valign value vspace width xml:lang xml:space xmlns`)

func wordSet(words string) map[string]bool {
	set := make(map[string]bool)
	for word := range strings.FieldsSeq(words) {
		set[word] = true
	}
	return set
}

// xhtmlNamespace is the namespace a narrative's div must be in.
const xhtmlNamespace = "http://www.w3.org/1999/xhtml"

// narrativeProblem returns what is wrong with the text of Narrative.div, or "".
// It stops at the first problem.
func narrativeProblem(div string) string {
	x := xhtml{text: div}
	if problem := x.check(); problem != "" {
		return problem
	}
	return ""
}

// xhtml scans a narrative once, without building a tree.
type xhtml struct {
	text string
	pos  int
	open []string // names of the open elements
	seen bool     // there was text or an image
}

func (x *xhtml) check() string {
	x.pos = len(x.text) - len(strings.TrimLeft(x.text, " \t\r\n"))
	if !strings.HasPrefix(x.text[x.pos:], "<div") {
		return "must be one <div> element"
	}
	for done := false; !done; {
		if x.pos >= len(x.text) {
			return "<" + x.open[len(x.open)-1] + "> is not closed"
		}
		var problem string
		switch rest := x.text[x.pos:]; {
		case rest[0] != '<':
			problem = x.characters()
		case strings.HasPrefix(rest, "<!--"):
			problem = x.skip("-->", "a comment")
		case strings.HasPrefix(rest, "</"):
			problem = x.end()
			done = len(x.open) == 0
		case strings.HasPrefix(rest, "<!") || strings.HasPrefix(rest, "<?"):
			problem = "must not hold document types, CDATA sections or processing instructions"
		default:
			problem = x.start()
			done = len(x.open) == 0
		}
		if problem != "" {
			return problem
		}
	}
	if strings.TrimSpace(x.text[x.pos:]) != "" {
		return "must be one <div> element with nothing behind it"
	}
	if !x.seen {
		return "must have some content (txt-2)"
	}
	return ""
}

// skip moves behind the next occurrence of mark.
func (x *xhtml) skip(mark, what string) string {
	i := strings.Index(x.text[x.pos:], mark)
	if i < 0 {
		return what + " is not closed"
	}
	x.pos += i + len(mark)
	return ""
}

// characters reads text up to the next tag.
func (x *xhtml) characters() string {
	text := x.text[x.pos:]
	if i := strings.IndexByte(text, '<'); i >= 0 {
		text = text[:i]
	}
	x.pos += len(text)
	x.seen = x.seen || strings.TrimSpace(text) != ""
	return entityProblem(text)
}

// entityProblem checks the character references in text.
func entityProblem(text string) string {
	for {
		i := strings.IndexByte(text, '&')
		if i < 0 {
			return ""
		}
		name, rest, ok := strings.Cut(text[i+1:], ";")
		if !ok || !validEntity(name) {
			return `an "&" must begin a character reference such as "&amp;"`
		}
		text = rest
	}
}

func validEntity(name string) bool {
	switch name {
	case "amp", "lt", "gt", "quot", "apos":
		return true
	}
	if digits, ok := strings.CutPrefix(name, "#"); ok {
		base := 10
		if hex, ok := strings.CutPrefix(digits, "x"); ok {
			digits, base = hex, 16
		}
		code, err := strconv.ParseUint(digits, base, 32)
		return err == nil && code <= utf8.MaxRune && utf8.ValidRune(rune(code)) &&
			(code >= 0x20 || code == '\t' || code == '\n' || code == '\r')
	}
	return xml.HTMLEntity[name] != ""
}

// end reads an end tag.
func (x *xhtml) end() string {
	name, rest := cutName(x.text[x.pos+2:])
	rest = strings.TrimLeft(rest, " \t\r\n")
	if !strings.HasPrefix(rest, ">") {
		return "</" + fhir.Clip(name) + " lacks its \">\""
	}
	if last := len(x.open) - 1; x.open[last] != name {
		return "</" + fhir.Clip(name) + "> stands where </" + x.open[last] + "> is expected"
	}
	x.open = x.open[:len(x.open)-1]
	x.pos = len(x.text) - len(rest) + 1
	return ""
}

// start reads a start tag and its attributes.
func (x *xhtml) start() string {
	name, rest := cutName(x.text[x.pos+1:])
	if name == "" {
		return `a "<" must begin a tag; write "&lt;"`
	}
	if !htmlElements[name] {
		return "<" + fhir.Clip(name) + "> is not allowed in a narrative (txt-1)"
	}
	if len(x.open) >= MaxDepth {
		return "is nested deeper than " + strconv.Itoa(MaxDepth) + " elements"
	}
	x.seen = x.seen || name == "img"
	var names []string
	for {
		trimmed := strings.TrimLeft(rest, " \t\r\n")
		switch {
		case strings.HasPrefix(trimmed, "/>"):
			x.pos = len(x.text) - len(trimmed) + 2
			return x.rootProblem(names)
		case strings.HasPrefix(trimmed, ">"):
			x.pos = len(x.text) - len(trimmed) + 1
			problem := x.rootProblem(names)
			x.open = append(x.open, name)
			return problem
		case len(trimmed) == len(rest):
			return "<" + name + "> is not closed by \">\""
		}
		attribute, value, after, ok := cutAttribute(trimmed)
		if !ok {
			return "<" + name + "> has an attribute that is not written name=\"value\""
		}
		if slices.Contains(names, attribute) {
			return "<" + name + "> has the attribute " + fhir.Clip(attribute) + " twice"
		}
		names = append(names, attribute)
		if problem := attributeProblem(name, attribute, value); problem != "" {
			return problem
		}
		rest = after
	}
}

// rootProblem checks that the outermost div names its namespace.
func (x *xhtml) rootProblem(attributes []string) string {
	if len(x.open) > 0 {
		return ""
	}
	if slices.Contains(attributes, "xmlns") {
		return ""
	}
	return "the <div> lacks xmlns=\"" + xhtmlNamespace + "\""
}

func attributeProblem(element, name, value string) string {
	switch {
	case name == "xmlns" && value != xhtmlNamespace:
		return "<" + element + "> is not in the namespace " + xhtmlNamespace
	case !htmlAttributes[name]:
		return "the attribute " + fhir.Clip(name) + " of <" + element + "> is not allowed in a narrative (txt-1)"
	case (name == "href" || name == "src") && scripted(value):
		return "the attribute " + name + " of <" + element + "> must not run a script"
	}
	return entityProblem(value)
}

// scripted reports whether a link would run a script. Browsers skip white space
// and control characters inside a scheme, and decode character references.
func scripted(link string) bool {
	link = unescapeEntities(link)
	scheme := strings.Map(func(r rune) rune {
		if r <= ' ' {
			return -1
		}
		return r
	}, link[:min(len(link), 256)])
	scheme, _, _ = strings.Cut(strings.ToLower(scheme), ":")
	return scheme == "javascript" || scheme == "vbscript"
}

// unescapeEntities decodes the character references of an attribute value.
func unescapeEntities(s string) string {
	if !strings.Contains(s, "&") {
		return s
	}
	var out strings.Builder
	for {
		before, rest, ok := strings.Cut(s, "&")
		out.WriteString(before)
		if !ok {
			return out.String()
		}
		name, after, ok := strings.Cut(rest, ";")
		switch text := xml.HTMLEntity[name]; {
		case !ok:
			out.WriteString("&" + rest)
			return out.String()
		case text != "":
			out.WriteString(text)
		case name == "apos":
			out.WriteByte('\'')
		case strings.HasPrefix(name, "#") && validEntity(name):
			digits, base := name[1:], 10
			if hex, ok := strings.CutPrefix(digits, "x"); ok {
				digits, base = hex, 16
			}
			code, _ := strconv.ParseUint(digits, base, 32) // validEntity has parsed it
			out.WriteRune(rune(code))
		default:
			out.WriteString("&" + name + ";")
		}
		s = after
	}
}

func cutName(s string) (name, rest string) {
	i := 0
	for i < len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != ':' && c != '-' && c != '_' && c != '.' {
			break
		}
		i++
	}
	return s[:i], s[i:]
}

// cutAttribute reads name="value" from the start of s.
func cutAttribute(s string) (name, value, rest string, ok bool) {
	name, rest = cutName(s)
	rest = strings.TrimLeft(rest, " \t\r\n")
	if name == "" || !strings.HasPrefix(rest, "=") {
		return "", "", "", false
	}
	rest = strings.TrimLeft(rest[1:], " \t\r\n")
	if rest == "" || rest[0] != '"' && rest[0] != '\'' {
		return "", "", "", false
	}
	end := strings.IndexByte(rest[1:], rest[0])
	if end < 0 || strings.Contains(rest[1:1+end], "<") {
		return "", "", "", false
	}
	return name, rest[1 : 1+end], rest[end+2:], true
}

// rewriteLinks gives every href and src of a narrative to replace and puts what
// it returns in its place. Text that is no tag is not touched.
func rewriteLinks(div string, replace func(link string) string) string {
	var out strings.Builder
	done := 0 // div[:done] is in out
	for pos := 0; pos < len(div); {
		i := strings.IndexByte(div[pos:], '<')
		if i < 0 {
			break
		}
		pos += i + 1
		if strings.HasPrefix(div[pos:], "!--") {
			end := strings.Index(div[pos:], "-->")
			if end < 0 {
				break
			}
			pos += end
			continue
		}
		_, rest := cutName(div[pos:])
		for {
			trimmed := strings.TrimLeft(rest, " \t\r\n")
			name, value, after, ok := cutAttribute(trimmed)
			if !ok {
				break
			}
			if name == "href" || name == "src" {
				link := unescapeEntities(value)
				if changed := replace(link); changed != link {
					start := len(div) - len(after) - 1 - len(value)
					out.WriteString(div[done:start])
					_ = xml.EscapeText(&out, []byte(changed)) // a strings.Builder does not fail
					done = start + len(value)
				}
			}
			rest = after
		}
		pos = len(div) - len(rest)
	}
	if done == 0 {
		return div
	}
	out.WriteString(div[done:])
	return out.String()
}
