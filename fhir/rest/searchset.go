package rest

import (
	"net/http"
	"net/url"
	"strconv"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
)

// searchset lays out a Bundle of stored resources around their bytes.
type searchset struct {
	out     []byte
	links   int
	entries int
}

// newSearchset starts a Bundle. A negative total is left out.
func newSearchset(typ string, total int64, resources []*fhir.Resource) *searchset {
	size := 1024
	for _, res := range resources {
		size += len(res.JSON) + 256
	}
	b := &searchset{out: make([]byte, 0, size)}
	b.out = append(b.out, `{"resourceType":"Bundle","type":"`...)
	b.out = append(b.out, typ...)
	b.out = append(b.out, '"')
	if total >= 0 {
		b.out = append(b.out, `,"total":`...)
		b.out = strconv.AppendInt(b.out, total, 10)
	}
	return b
}

// link adds a link to a page of the same query. All links come before entries.
func (b *searchset) link(relation, path, query, cursor string) {
	if b.links == 0 {
		b.out = append(b.out, `,"link":[`...)
	} else {
		b.out = append(b.out, ',')
	}
	b.links++
	b.out = append(b.out, `{"relation":"`...)
	b.out = append(b.out, relation...)
	b.out = append(b.out, `","url":`...)
	if cursor != "" {
		if query != "" {
			query += "&"
		}
		query += "_cursor=" + url.QueryEscape(cursor)
	}
	if query != "" {
		path += "?" + query
	}
	b.out = appendString(b.out, path)
	b.out = append(b.out, '}')
}

// next starts an entry.
func (b *searchset) next() {
	if b.entries == 0 {
		b.closeLinks()
		b.out = append(b.out, `,"entry":[`...)
	} else {
		b.out = append(b.out, ',')
	}
	b.entries++
}

func (b *searchset) closeLinks() {
	if b.links > 0 {
		b.out = append(b.out, ']')
		b.links = 0
	}
}

// pageLinks adds the links of a page of a search, each with every parameter that
// was used. R4's "last" is not among them: nobody knows it without counting.
//
// https://hl7.org/fhir/R4/search.html#link
func (b *searchset) pageLinks(path string, req *search.Request, at cursor, page *search.Page) {
	b.link("self", path, req.Self, at.String())
	if at != (cursor{}) {
		b.link("first", path, req.Self, "")
	}
	if page.Prev != "" {
		b.link("previous", path, req.Self, cursor{at.second, true, page.Prev}.String())
	}
	switch {
	case page.Next != "":
		b.link("next", path, req.Self, cursor{at.second, false, page.Next}.String())
	case req.Containers != nil && !at.second && req.Query.Count > 0:
		b.link("next", path, req.Self, cursor{second: true}.String())
	}
}

// match adds a resource that a search found; json is what to show of it. A score
// of 0 is none.
func (b *searchset) match(fullURL string, json []byte, score float64) {
	b.found(fullURL, json)
	b.out = append(b.out, `,"search":{"mode":"match"`...)
	if score > 0 {
		b.out = append(b.out, `,"score":`...)
		b.out = strconv.AppendFloat(b.out, max(score, 0.0001), 'f', 4, 64)
	}
	b.out = append(b.out, "}}"...)
}

// include adds a resource that goes along with the matches.
func (b *searchset) include(fullURL string, json []byte) {
	b.found(fullURL, json)
	b.out = append(b.out, `,"search":{"mode":"include"}}`...)
}

// found starts an entry with a resource.
func (b *searchset) found(fullURL string, json []byte) {
	b.next()
	b.out = append(b.out, `{"fullUrl":`...)
	b.out = appendString(b.out, fullURL)
	b.out = append(b.out, `,"resource":`...)
	b.out = append(b.out, json...)
}

// outcome adds an OperationOutcome about the search itself.
func (b *searchset) outcome(json []byte) {
	b.next()
	b.out = append(b.out, `{"resource":`...)
	b.out = append(b.out, json...)
	b.out = append(b.out, `,"search":{"mode":"outcome"}}`...)
}

// version adds a version of a history: what was asked for and what came of it;
// json is what to show of it.
func (b *searchset) version(basePrefix string, res *fhir.Resource, json []byte) {
	b.next()
	b.out = append(b.out, `{"fullUrl":`...)
	b.out = appendString(b.out, basePrefix+res.Key.String())
	if !res.Deleted() {
		b.out = append(b.out, `,"resource":`...)
		b.out = append(b.out, json...)
	}
	b.out = append(b.out, `,"request":{"method":"`...)
	b.out = append(b.out, res.Method...)
	b.out = append(b.out, `","url":"`...)
	b.out = append(b.out, res.Type...)
	if res.Method != fhir.Create {
		b.out = append(b.out, '/')
		b.out = append(b.out, res.ID...)
	}
	status := http.StatusOK
	switch {
	case res.Deleted():
		status = http.StatusNoContent
	case res.Method == fhir.Create || res.Version == 1:
		status = http.StatusCreated
	}
	b.out = append(b.out, `"},"response":{`...)
	b.out = appendStatus(b.out, status)
	b.out = append(b.out, `,"etag":"W/\"`...)
	b.out = strconv.AppendInt(b.out, res.Version, 10)
	b.out = append(b.out, `\"","lastModified":"`...)
	b.out = fhir.AppendInstant(b.out, res.Updated)
	b.out = append(b.out, `"}}`...)
}

// bytes ends the Bundle.
func (b *searchset) bytes() []byte {
	b.closeLinks()
	if b.entries > 0 {
		b.out = append(b.out, ']')
	}
	return append(b.out, '}')
}
