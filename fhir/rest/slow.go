package rest

import (
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/starling-fhir/starling/fhir/search"
)

// slowLog tells the log of searches that took long, without what was looked for.
// The zero slowLog is ready to use; it is safe for concurrent use.
type slowLog struct {
	mu      sync.Mutex
	since   time.Time // when the present minute began
	told    int       // in it
	skipped int       // and not told since the last one that was
	// unexplained are searches, by what slowShape says of them, that were slow
	// and whose plan is not known: the next one like them is explained. To explain
	// every search, in case it turns out slow, would make all of them slower.
	unexplained map[string]bool
}

// maxUnexplained is how many searches are remembered to be explained.
const maxUnexplained = 64

// slowShape is what searches have in common that are likely to be carried out
// alike: types, and parameters with their modifiers.
func slowShape(req *search.Request) string {
	return strings.Join(req.Query.Types, ",") + "?" + parameterNames(req.Self)
}

// wants reports whether a search is to be explained because one like it was slow.
func (l *slowLog) wants(req *search.Request) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.unexplained) == 0 {
		return false
	}
	shape := slowShape(req)
	wanted := l.unexplained[shape]
	delete(l.unexplained, shape)
	return wanted
}

// explainNext asks for the plan of the next search like a slow one.
func (l *slowLog) explainNext(req *search.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.unexplained == nil || len(l.unexplained) >= maxUnexplained {
		l.unexplained = make(map[string]bool)
	}
	l.unexplained[slowShape(req)] = true
}

// maxSlowTold is how many slow searches a minute are told: when everything is
// slow the log must not make it slower.
const maxSlowTold = 20

// take reports whether one more may be told, and how many were not since the
// last.
func (l *slowLog) take(now time.Time) (skipped int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if age := now.Sub(l.since); age >= time.Minute || age < 0 {
		l.since, l.told = now, 0
	}
	if l.told >= maxSlowTold {
		l.skipped++
		return 0, false
	}
	l.told++
	skipped, l.skipped = l.skipped, 0
	return skipped, true
}

// noteSlow logs a search that took as long as Config.SlowQuery or longer: its
// route and type, the parameters with their modifiers, how it was carried out.
func (s *Server) noteSlow(r *request, req *search.Request, page *search.Page, took time.Duration) {
	if s.SlowQuery <= 0 || took < s.SlowQuery {
		return
	}
	skipped, ok := s.slow.take(s.Clock())
	if !ok {
		return
	}
	plans := []string{}
	if page.Plans == nil {
		s.slow.explainNext(req)
		plans = append(plans, "unknown; that of the next search like this is looked at")
	}
	for i, plan := range page.Plans {
		if i == 8 {
			plans = append(plans, "…")
			break
		}
		plans = append(plans, planText(plan))
	}
	s.Logger.Warn("slow search", "route", r.route, "type", strings.Join(req.Query.Types, ","), "parameters", parameterNames(req.Self),
		"plan", strings.Join(plans, "\n"), "looked", looked(page.Plans), "found", len(page.Resources), "seconds", took.Seconds(),
		"request", r.trace, "not_told", skipped)
}

// parameterNames lists the names in a query string, with their modifiers, once.
// The string is one of the parser's: names that it did not know are not in it.
func parameterNames(query string) string {
	var names []string
	seen := make(map[string]bool)
	for part := range strings.SplitSeq(query, "&") {
		name, _, _ := strings.Cut(part, "=")
		if clear, err := url.QueryUnescape(name); err == nil && clear != "" && !seen[clear] {
			seen[clear] = true
			names = append(names, clear)
		}
	}
	return strings.Join(names, " ")
}
