package rest

import (
	"cmp"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
)

// read serves GET [base]/[type]/[id], https://hl7.org/fhir/R4/http.html#read.
// With If-None-Match or If-Modified-Since it is a conditional read.
func (s *Server) read(r *request) (*answer, error) {
	res, err := s.current(r)
	if err != nil {
		return nil, err
	}
	return s.version(r, res)
}

// current returns the newest version of the resource of a request. The error is
// NotFound if there never was one or the caller may not see it, Deleted if it
// was deleted.
func (s *Server) current(r *request) (*fhir.Resource, error) {
	key, err := r.key()
	if err != nil {
		return nil, err
	}
	res, err := s.Store.Read(r.ctx, key)
	if err != nil {
		return nil, unseen(err, key)
	}
	if ok, err := s.sees(r.ctx, r.access, res); err != nil || !ok {
		return nil, cmp.Or(err, notFound(key))
	}
	return res, r.visible(res)
}

// unseen makes sure that what is not there is told in the same words as what
// may not be seen.
func unseen(err error, key fhir.Key) error {
	if fhir.KindOf(err) == fhir.NotFound {
		return notFound(key)
	}
	return err
}

// visible returns an error if there is nothing to show of a version. What guards a
// Binary has been asked before, by [Server.sees].
func (r *request) visible(res *fhir.Resource) error {
	if !r.access.Sees(res) && !locked(r.access.Scope(search.CanRead), res.Key) {
		return notFound(res.Key)
	}
	if res.Deleted() {
		if res.Version == 1 {
			return fhir.Errorf(fhir.Deleted, "%s was deleted", res.Key)
		}
		return fhir.Errorf(fhir.Deleted, "%s was deleted; what it was is %s/_history/%d", res.Key, res.Key, res.Version-1)
	}
	return nil
}

// version answers with one version of a resource.
func (s *Server) version(r *request, res *fhir.Resource) (*answer, error) {
	shown, err := s.readView(r.query, r.typ)
	if err != nil {
		return nil, err
	}
	if r.unchanged(res) {
		return &answer{status: http.StatusNotModified, resource: res}, nil
	}
	a := &answer{status: http.StatusOK, resource: res}
	a.body, err = s.show(shown, res.JSON, true)
	return a, err
}

// unchanged says whether the client has this version already.
// https://www.rfc-editor.org/rfc/rfc9110#section-13.2.2: If-Modified-Since
// counts only without If-None-Match.
func (r *request) unchanged(res *fhir.Resource) bool {
	if r.ifNoneMatch != "" {
		have := strconv.FormatInt(res.Version, 10)
		for tag := range strings.SplitSeq(r.ifNoneMatch, ",") {
			tag = strings.Trim(strings.TrimPrefix(strings.TrimSpace(tag), "W/"), `"`)
			if tag == "*" || tag == have {
				return true
			}
		}
		return false
	}
	return !r.ifModifiedSince.IsZero() && !res.Updated.Truncate(time.Second).After(r.ifModifiedSince)
}
