package rest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// TestPagesBack: whoever goes to the last page and back sees the same pages, and
// every link keeps every parameter.
func TestPagesBack(t *testing.T) {
	a := newAPI(t)
	for i := range 11 {
		a.must("PUT", fmt.Sprintf("/Patient/p%02d", i), fmt.Sprintf(`{"resourceType":"Patient","id":"p%02d","birthDate":"19%02d-01-01"}`, i, 90-i%4))
	}
	const parameters = "?_sort=birthdate,_id&_count=3&_elements=birthDate&_total=accurate&_summary=false&_pretty=false"
	for _, query := range []string{"/Patient" + parameters, "/Patient?_count=4", "?_type=Patient&_count=3&_sort=-_id"} {
		var forth, back []shown
		for path := query; path != ""; path = forth[len(forth)-1].link("next") {
			forth = append(forth, a.shown(call{"GET", path, nil, ""}))
		}
		last := forth[len(forth)-1]
		for path := last.link("previous"); path != ""; path = back[0].link("previous") {
			back = slices.Insert(back, 0, a.shown(call{"GET", path, nil, ""}))
		}
		if len(back) != len(forth)-1 || len(forth) < 3 {
			t.Fatalf("%s: %d pages forth, %d back", query, len(forth), len(back))
		}
		for i := range back {
			if !slices.Equal(ids(back[i]), ids(forth[i])) {
				t.Errorf("%s: page %d is %v forth and %v back", query, i, ids(forth[i]), ids(back[i]))
			}
			if again := a.shown(call{"GET", back[i].link("next"), nil, ""}); !slices.Equal(ids(again), ids(forth[i+1])) {
				t.Errorf("%s: behind page %d come %v, and after going back %v", query, i, ids(forth[i+1]), ids(again))
			}
			if self := a.shown(call{"GET", back[i].link("self"), nil, ""}); !slices.Equal(ids(self), ids(back[i])) {
				t.Errorf("%s: the page at the self link is %v, not %v", query, ids(self), ids(back[i]))
			}
		}
		if forth[0].link("previous") != "" || forth[0].link("first") != "" || last.link("next") != "" {
			t.Errorf("%s: the first page has links %v, the last %v", query, forth[0].Link, last.Link)
		}
		_, sent, _ := strings.Cut(query, "?")
		for _, page := range append(slices.Clone(forth), back...) {
			for _, link := range page.Link {
				if !strings.Contains(link.URL, sent) {
					t.Errorf("the link %s lost parameters of %s: %s", link.Relation, query, link.URL)
				}
			}
			if link := page.link("first"); link != "" && !slices.Equal(ids(a.shown(call{"GET", link, nil, ""})), ids(forth[0])) {
				t.Errorf("%s: the first link leads elsewhere", query)
			}
		}
	}
}

func ids(s shown) (out []string) {
	for _, e := range s.Entry {
		out = append(out, e.Resource.ID)
	}
	return out
}

func TestBadCursors(t *testing.T) {
	a := newAPI(t)
	a.hospital()
	good := a.shown(call{"GET", "/Observation?_count=1", nil, ""}).link("next")
	_, cursor, _ := strings.Cut(good, "_cursor=")
	for _, bad := range []string{"~", ".", "." + cursor, ".~" + cursor, "~~" + cursor, "~x", cursor + "~", "~" + cursor[:len(cursor)-2]} {
		if rec := a.do(call{method: "GET", path: "/Observation?_count=1&_cursor=" + bad}); rec.Code != http.StatusBadRequest {
			t.Errorf("%q: status %d", bad, rec.Code)
		}
	}
}
