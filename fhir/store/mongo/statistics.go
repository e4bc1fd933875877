package mongo

import (
	"context"
	"slices"
	"sync/atomic"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/starling-fhir/starling/fhir/search"
)

// sampleSize is how many resources the planner knows: a clause that selects one
// in a hundred is told from one that selects one in ten, which is all it needs.
const sampleSize = 2000

// statistics are what the planner knows: the counts of the clock and the index
// entries of some resources taken at random. They are refreshed in the
// background, never by a search.
type statistics struct{ seen atomic.Pointer[sample] }

// sample is a state of the statistics. It is never changed once made.
type sample struct {
	counts map[string]int64
	types  map[string]*typeSample
}

// typeSample are the sampled resources of one type.
type typeSample struct {
	resources int
	// elements are, by parameter, those of all of them, sorted, with repeats.
	elements map[string][]string
}

var noSample = &sample{}

func (s *statistics) current() *sample {
	if seen := s.seen.Load(); seen != nil {
		return seen
	}
	return noSample
}

// Resources implements [search.Estimator].
func (s *sample) Resources(typ string) float64 { return float64(s.counts[typ]) }

// Rows implements [search.Estimator]. What no sampled resource has is rare, or
// new: it counts as half a resource of the sample.
func (s *sample) Rows(typ string, c *search.Clause) float64 {
	known := s.types[typ]
	if known == nil {
		return s.Resources(typ) / 2
	}
	elements := known.elements[c.Param]
	hits := 0
	for i := range c.Ranges {
		from, to, ok := bounds(typ, c.Param, &c.Ranges[i])
		if !ok {
			continue
		}
		low, _ := slices.BinarySearch(elements, from)
		high, _ := slices.BinarySearch(elements, to)
		hits += high - low
	}
	share := max(0.5, float64(min(hits, known.resources))) / float64(known.resources)
	return share * s.Resources(typ)
}

// sampleEntries makes the statistics anew.
func (s *Store) sampleEntries(ctx context.Context) error {
	c, err := s.readClock(ctx)
	if err != nil {
		return fault(ctx, err, "reading the clock")
	}
	next := &sample{counts: c.Counts, types: map[string]*typeSample{}}
	cursor, err := s.ask(ctx, s.resources, mongo.Pipeline{
		{{Key: "$sample", Value: bson.D{{Key: "size", Value: sampleSize}}}},
		{{Key: "$project", Value: bson.D{{Key: "type", Value: 1}, {Key: "ix", Value: 1}}}},
	}, sampleSize)
	if err != nil {
		return fault(ctx, err, "sampling the index")
	}
	err = each(ctx, cursor, func(raw bson.Raw) error {
		var d struct {
			Type string   `bson:"type"`
			IX   []string `bson:"ix"`
		}
		if bson.Unmarshal(raw, &d) != nil || len(d.IX) == 0 {
			return nil // deleted, or edited by hand: not the planner's business
		}
		known := next.types[d.Type]
		if known == nil {
			known = &typeSample{elements: map[string][]string{}}
			next.types[d.Type] = known
		}
		known.resources++
		for _, el := range d.IX[:min(len(d.IX), maxSampledElements)] {
			if _, e, err := parseElement(el); err == nil && e.Param != "" {
				known.elements[e.Param] = append(known.elements[e.Param], el)
			}
		}
		return nil
	})
	if err != nil {
		return fault(ctx, err, "sampling the index")
	}
	for _, known := range next.types {
		for _, elements := range known.elements {
			slices.Sort(elements)
		}
	}
	s.stats.seen.Store(next)
	return nil
}

// maxSampledElements bounds what one huge resource adds to the statistics.
const maxSampledElements = 500
