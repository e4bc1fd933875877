package main

import (
	"strconv"

	"github.com/starling-fhir/starling/fhir/resource"
)

// class says how a document is loaded.
type class int

const (
	plainResource class = iota // one resource; what cannot be read is one too, and is then rejected with the reason
	sendAsIs                   // a transaction or batch: the sender said what to do
	carrier                    // another Bundle: its resources are loaded
)

// classify looks at the members resourceType and type of a document's top
// level. It reads no further than it must: in most documents they come first.
func classify(data []byte) class {
	s := scanner{data: data}
	if !s.open('{') {
		return plainResource
	}
	var resourceType, bundleType string
	for {
		name, ok := s.member()
		if !ok {
			break
		}
		switch value := s.value(); name {
		case "resourceType":
			resourceType = value
		case "type":
			bundleType = value
		}
		if resourceType != "" && (resourceType != "Bundle" || bundleType != "") {
			break
		}
	}
	switch {
	case resourceType != "Bundle":
		return plainResource
	case bundleType == "transaction" || bundleType == "batch":
		return sendAsIs
	}
	return carrier
}

// scanner passes over JSON without decoding it. It trusts its input: what it
// misreads is refused by the decoder later.
type scanner struct {
	data []byte
	pos  int
}

func (s *scanner) space() {
	for s.pos < len(s.data) {
		switch s.data[s.pos] {
		case ' ', '\t', '\n', '\r', ',', ':':
			s.pos++
		default:
			return
		}
	}
}

func (s *scanner) open(c byte) bool {
	s.space()
	if s.pos >= len(s.data) || s.data[s.pos] != c {
		return false
	}
	s.pos++
	return true
}

// member returns the name of the next member of the object it is in.
func (s *scanner) member() (string, bool) {
	s.space()
	if s.pos >= len(s.data) || s.data[s.pos] != '"' {
		return "", false
	}
	return s.text(), true
}

// value passes over a value and returns it if it is a string; escapes stay.
func (s *scanner) value() string {
	s.space()
	if s.pos < len(s.data) && s.data[s.pos] == '"' {
		return s.text()
	}
	for depth := 0; s.pos < len(s.data); {
		switch s.data[s.pos] {
		case '"':
			s.text()
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
			if depth < 0 {
				return "" // the end of the object around it
			}
			if depth == 0 {
				s.pos++
				return ""
			}
		case ',':
			if depth == 0 {
				return ""
			}
		}
		s.pos++
	}
	return ""
}

// text passes over a string and returns what is between its quotes.
func (s *scanner) text() string {
	start := s.pos + 1
	for s.pos = start; s.pos < len(s.data); s.pos++ {
		switch s.data[s.pos] {
		case '\\':
			s.pos++
		case '"':
			s.pos++
			return string(s.data[start : s.pos-1])
		}
	}
	return ""
}

// item is one resource on its way, with where it came from.
type item struct {
	file  string
	line  int
	entry int // of the Bundle it came in, from 0; -1 if it came in none
	node  *resource.Node
	// fullURL is what other entries of its Bundle call it.
	fullURL string
}

// name says which resource an item is: "Patient/p1", or "Patient" without id.
func (i item) name() string {
	typ, id := i.node.Str("resourceType"), i.node.Str("id")
	if id == "" {
		return typ
	}
	return typ + "/" + id
}

// request is what a transaction or batch asks for an item: a resource with an
// id keeps it, another gets one from the server.
func (i item) request() (method, url string) {
	if i.node.Str("id") == "" {
		return "POST", i.node.Str("resourceType")
	}
	return "PUT", i.name()
}

// carried returns the resources of a Bundle that is no transaction or batch,
// and whether they call one another by fullUrls only the Bundle knows, so that
// they must be sent together. Deletions and search outcomes are left out, and
// so are the older versions in a history, which comes newest first.
func carried(doc document, bundle *resource.Node) (items []item, together bool) {
	history := bundle.Str("type") == "history"
	seen := map[string]bool{}
	for i, entry := range bundle.List("entry") {
		node := entry.Get("resource")
		if history {
			key := entry.Path("request").Str("url")
			if node != nil {
				key = item{node: node}.name()
			}
			if seen[key] {
				continue
			}
			seen[key] = true
		}
		if node == nil || entry.Path("search").Str("mode") == "outcome" {
			continue
		}
		it := item{file: doc.file, line: doc.line, entry: i, node: node, fullURL: entry.Str("fullUrl")}
		if isURN(it.fullURL) {
			together = true
		}
		items = append(items, it)
	}
	return items, together
}

func isURN(url string) bool { return len(url) > 4 && url[:4] == "urn:" }

// bundleOf writes items as a transaction or batch.
func bundleOf(kind string, items []item) []byte {
	out := make([]byte, 0, 1<<16)
	out = append(out, `{"resourceType":"Bundle","type":"`+kind+`","entry":[`...)
	for i, it := range items {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, '{')
		if it.fullURL != "" {
			out = append(out, `"fullUrl":`...)
			full := resource.Text(it.fullURL)
			out = full.Append(out)
			out = append(out, ',')
		}
		out = append(out, `"resource":`...)
		out = it.node.Append(out)
		method, url := it.request()
		out = append(out, `,"request":{"method":`...)
		out = strconv.AppendQuote(out, method)
		out = append(out, `,"url":`...)
		target := resource.Text(url)
		out = target.Append(out)
		out = append(out, `}}`...)
	}
	return append(out, `]}`...)
}

// repeatable reports whether a transaction or batch may be sent twice without
// making anything twice: it creates nothing unconditionally.
func repeatable(bundle *resource.Node) bool {
	for _, entry := range bundle.List("entry") {
		request := entry.Get("request")
		if request.Str("method") == "POST" && request.Str("ifNoneExist") == "" {
			return false
		}
		if request.Str("method") == "PATCH" {
			return false
		}
	}
	return true
}
