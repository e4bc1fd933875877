package search

import (
	"html"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/starling-fhir/starling/fhir/resource"
)

// What _text and _content look at, by the element definitions of R4: narratives,
// and strings and markdown that people read. Of strings those count that are
// neither names of things nor parts of a machine's business.

// textNode is an object of a data type, by the names of the members that have
// text or may lead to some.
type textNode map[string]textMember

// textMember is a member of an object.
type textMember struct {
	kind textKind
	next *textNode // of textBelow
}

type textKind byte

const (
	textBelow     textKind = iota // objects of a type
	textPlain                     // string or markdown
	textNarrative                 // xhtml
	textResource                  // a contained resource, or that of a bundle's entry
)

// noText are names of string elements that hold no text for people, and paths of
// those whose name is another's too.
var noText = map[string]bool{
	"id": true, "version": true, "versionId": true, "linkId": true, "path": true, "expression": true, "reference": true,
	"unit": true, "max": true, "preAuthRef": true, "sliceName": true, "xpath": true, "lotNumber": true, "serialNumber": true,
	"modelNumber": true, "partNumber": true, "deviceIdentifier": true, "distinctIdentifier": true, "carrierHRF": true,
	"subscriberId": true, "sequence": true, "observedSeq": true, "referenceSeqString": true, "referenceAllele": true,
	"observedAllele": true, "cigar": true, "genomeBuild": true, "readsetId": true, "variantsetId": true, "datasetId": true,
	"data": true, "etag": true, "ifNoneMatch": true, "ifMatch": true, "ifNoneExist": true, "searchParam": true, "url": true,
	"requestURL": true, "sourceId": true, "targetId": true, "resourceId": true, "minimumId": true, "mapping": true, "sourceVersion": true,
	"targetVersion": true, "searchInclude": true, "searchRevInclude": true, "headerField": true, "params": true, "field": true,
	"sourceIdentityCertificate": true, "proxyIdentityCertificate": true, "identityCertificate": true, "altId": true,
	"contextLinkId": true, "reasonLinkId": true, "requesterLinkId": true, "performerLinkId": true, "actorId": true,
	"compareToSourceId": true, "compareToSourceExpression": true, "compareToSourcePath": true, "molecularFormula": true,
	"molecularFormulaByMoiety": true, "averageMolecularFormula": true, "maternalOrganismId": true, "paternalOrganismId": true,
	"Identifier.value": true, "ContactPoint.value": true, "AuditEvent.agent.network.address": true,
}

// textTrees returns the nodes of all resource types.
var textTrees = sync.OnceValues(func() (map[string]*textNode, error) {
	schema, err := resource.LoadSchema()
	if err != nil {
		return nil, err
	}
	b := textBuilder{schema: schema, nodes: map[string]*textNode{}}
	out := map[string]*textNode{}
	for _, typ := range resource.Types() {
		out[typ] = b.node(typ)
	}
	return out, nil
})

type textBuilder struct {
	schema *resource.Schema
	nodes  map[string]*textNode // by path
}

// node returns the node of a type or of an element with children of its own.
func (b *textBuilder) node(path string) *textNode {
	if n := b.nodes[path]; n != nil {
		return n
	}
	n := &textNode{}
	b.nodes[path] = n // types refer to one another
	e, _ := b.schema.Element(path)
	for _, child := range b.schema.Children(e) {
		for _, named := range child.Named() {
			if m, ok := b.member(child.Path, named); ok {
				(*n)[named.Name] = m
			}
		}
	}
	return n
}

func (b *textBuilder) member(path string, e resource.NamedElement) (textMember, bool) {
	if e.Content != "" {
		return textMember{next: b.node(e.Content)}, true
	}
	if len(e.Types) != 1 {
		return textMember{}, false
	}
	switch typ := e.Types[0].Name; typ {
	case "string", "markdown":
		return textMember{kind: textPlain}, !noText[e.Name] && !noText[path]
	case "xhtml":
		return textMember{kind: textNarrative}, true
	case "Resource":
		return textMember{kind: textResource}, true
	case "BackboneElement", "Element":
		return textMember{next: b.node(path)}, true
	default:
		if _, complex := b.schema.Element(typ); !complex {
			return textMember{}, false
		}
		return textMember{next: b.node(typ)}, true
	}
}

// texts calls each for all text of a resource, the tags of narratives taken out.
// narrative says that it is the narrative of the resource itself.
func texts(root *resource.Node, each func(text string, narrative bool)) {
	trees, err := textTrees()
	if err != nil {
		return // NewRegistry has failed
	}
	walkTexts(root, trees, trees[root.Str("resourceType")], true, each)
}

func walkTexts(n *resource.Node, trees map[string]*textNode, at *textNode, top bool, each func(text string, narrative bool)) {
	if at == nil {
		return
	}
	for i := range n.Fields {
		f := &n.Fields[i]
		m, ok := (*at)[f.Name]
		if !ok {
			continue
		}
		for j, items := 0, f.Node.Each(); j < len(items); j++ {
			item := &items[j]
			switch m.kind {
			case textPlain:
				if item.Kind == resource.String {
					each(item.Text, false)
				}
			case textNarrative:
				each(plainXHTML(item.Text), top)
			case textResource:
				walkTexts(item, trees, trees[item.Str("resourceType")], false, each)
			default:
				// The narrative is DomainResource.text; those of a Composition's
				// sections are in elements further down.
				walkTexts(item, trees, m.next, top && f.Name == "text", each)
			}
		}
	}
}

// inlineTags do not end a word: "H<sub>2</sub>O" is one.
var inlineTags = map[string]bool{
	"a": true, "abbr": true, "acronym": true, "b": true, "big": true, "cite": true, "code": true, "dfn": true, "em": true, "font": true, "i": true,
	"kbd": true, "q": true, "s": true, "samp": true, "small": true, "span": true, "strike": true, "strong": true, "sub": true, "sup": true,
	"tt": true, "u": true, "var": true,
}

// plainXHTML returns the text of a narrative: without tags and comments, with
// its entities resolved.
func plainXHTML(div string) string {
	var out strings.Builder
	for {
		text, rest, tagged := strings.Cut(div, "<")
		out.WriteString(html.UnescapeString(text))
		if !tagged {
			return out.String()
		}
		end := ">"
		if strings.HasPrefix(rest, "!--") {
			end = "-->"
		}
		tag, after, ok := strings.Cut(rest, end)
		if !ok {
			return out.String()
		}
		if div = after; end == "-->" {
			continue
		}
		name := strings.TrimPrefix(tag, "/")
		if i := strings.IndexFunc(name, func(r rune) bool { return r == '/' || unicode.IsSpace(r) }); i >= 0 {
			name = name[:i]
		}
		if !inlineTags[strings.ToLower(name)] {
			out.WriteByte(' ')
		}
	}
}

// eachWord calls each for the words of a text, folded as for string searches.
// Of scripts that do not put spaces between words each character is one.
func eachWord(text string, each func(word string)) {
	for rest, more := fold(text), true; more; {
		var word string
		word, rest, more = strings.Cut(rest, " ")
		start := 0
		for i, r := range word {
			if r < utf8.RuneSelf || !unicode.In(r, spaceless...) {
				continue
			}
			if i > start {
				each(word[start:i])
			}
			start = i + utf8.RuneLen(r)
			each(word[i:start])
		}
		if start < len(word) {
			each(word[start:])
		}
	}
}

// spaceless are scripts without spaces between words.
var spaceless = []*unicode.RangeTable{
	unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar,
}
