package rest

import (
	"slices"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
	"github.com/starling-fhir/starling/fhir/search"
)

// Searches in contained resources. The store finds containers that may hold a
// match; what they really hold is looked at here.
//
// https://hl7.org/fhir/R4/search.html#contained

// found is a match as a page shows it.
type found struct {
	*fhir.Resource        // what it is, or what contains it
	fragment       string // of a contained one: its id
	json           []byte
}

// address is the match's fullUrl below the base.
func (f found) address() string {
	if f.fragment != "" {
		return f.Key.String() + "#" + f.fragment
	}
	return f.Key.String()
}

// asFound returns resources as they are.
func asFound(list []*fhir.Resource) []found {
	out := make([]found, len(list))
	for i, res := range list {
		out[i] = found{Resource: res, json: res.JSON}
	}
	return out
}

// findContained asks the store for a page of a search in contained resources.
func (s *Server) findContained(r *request, req *search.Request, at cursor) (*search.Page, []found, error) {
	if req.Containers == nil {
		if at.second {
			return nil, nil, errCursor
		}
		page, err := s.findPage(r, req, req.Query, at)
		if err != nil {
			return nil, nil, err
		}
		if req.ContainedType == "contained" {
			page.Total = -1 // of containers, which may hold several
		}
		matches, err := s.contained(req, page.Resources)
		return page, matches, err
	}
	if req.Query.Count == 0 {
		return s.countBoth(r, req)
	}
	if !at.second {
		page, err := s.findPage(r, req, req.Query, at)
		if err != nil {
			return nil, nil, err
		}
		page.Total = -1 // of these alone
		return page, asFound(page.Resources), nil
	}
	page, err := s.findPage(r, req, *req.Containers, at)
	if err != nil {
		return nil, nil, err
	}
	page.Total = -1
	// What matches itself has been on an earlier page.
	containers := page.Resources
	if req.ContainedType == "container" {
		if containers, err = s.withoutMatches(req, containers); err != nil {
			return nil, nil, err
		}
	}
	matches, err := s.contained(req, containers)
	return page, matches, err
}

// countBoth counts what has an address and what contains a match, each once.
func (s *Server) countBoth(r *request, req *search.Request) (*search.Page, []found, error) {
	// What matches itself may contain a match too, as a medication of others does.
	twice := *req.Containers
	twice.Types = req.Query.Types
	twice.Where = slices.Concat(req.Query.Where, twice.Where)
	total := int64(0)
	for i, q := range []search.Query{req.Query, *req.Containers, twice} {
		page, err := s.findPage(r, req, q, cursor{})
		switch {
		case err != nil:
			return nil, nil, err
		case page.Total < 0:
			return page, nil, nil
		case i == 2:
			total -= page.Total
		default:
			total += page.Total
		}
	}
	return &search.Page{Total: total}, nil, nil
}

// contained returns the matches that containers hold, or the containers that
// hold some.
func (s *Server) contained(req *search.Request, containers []*fhir.Resource) ([]found, error) {
	var matches []found
	for _, res := range containers {
		root, err := resource.Decode(res.JSON)
		if err != nil {
			return nil, fhir.Wrap(fhir.Internal, err, "a stored resource cannot be decoded")
		}
		inside, err := s.registry().Contained(root, req)
		switch {
		case err != nil:
			return nil, err
		case len(inside) == 0:
		case req.ContainedType == "container":
			matches = append(matches, found{Resource: res, json: res.JSON})
		default:
			for _, n := range inside {
				matches = append(matches, found{Resource: res, fragment: n.Str("id"), json: n.JSON()})
			}
		}
	}
	return matches, nil
}

// withoutMatches leaves out the resources that a search finds by themselves.
func (s *Server) withoutMatches(req *search.Request, list []*fhir.Resource) ([]*fhir.Resource, error) {
	var left []*fhir.Resource
	for _, res := range list {
		entries, _, err := s.registry().Index(res.JSON)
		if err != nil {
			return nil, fhir.Wrap(fhir.Internal, err, "a stored resource cannot be decoded")
		}
		entries = append(entries, search.LastUpdated(res.Updated)...)
		if !slices.Contains(req.Query.Types, res.Type) ||
			slices.ContainsFunc(req.Query.Where, func(c search.Clause) bool { return !search.Match(res.Type, entries, c) }) {
			left = append(left, res)
		}
	}
	return left, nil
}
