package rest

import (
	"context"
	"encoding/base64"
	"mime"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

// A Binary holds a document of any kind. Alone, it is sent and read as that
// document; as the resource it is to whoever asks for FHIR's formats, and in
// Bundles. Who may see it is what its securityContext says: whoever sees that
// resource. What other packages know of this rule is search.Part.Guarded.
//
// https://hl7.org/fhir/R4/binary.html

// securityContext is the header that names the securityContext of a raw Binary.
const securityContext = "X-Security-Context"

// maxRawBinary is the most bytes of a document: a little less than three quarters
// of a resource, because it is stored as base64.
const maxRawBinary = (store.MaxResourceBytes - 4096) / 4 * 3

// rawBinary reports whether the row can answer with a document.
func (row *interaction) rawBinary(typ string) bool {
	return typ == "Binary" && (row.Code == "read" || row.Code == "vread")
}

// binary reads the body of a create or update of a Binary: the resource itself in
// one of FHIR's formats, or any document, which then becomes one. id is that of
// the URL, "" for a create.
func (b *body) binary(id string) (*resource.Node, error) {
	header := b.in.Header
	contentType := strings.Join(strings.Fields(header.Get("Content-Type")), " ")
	context := b.server.contextReference(header.Get(securityContext))
	if contentType == "" {
		root, err := b.resource()
		return root, protect(root, context, err)
	}
	name, _, err := mime.ParseMediaType(contentType)
	if err != nil || !strings.Contains(name, "/") {
		return nil, fhir.Errorf(fhir.UnsupportedMedia, "Content-Type: %q is not a media type", fhir.Clip(contentType))
	}
	media, err := resourceType(contentType)
	if err != nil {
		if name == fhirJSON || name == fhirXML {
			return nil, fhir.Errorf(fhir.UnsupportedMedia, "Content-Type: %s; send %s", err.Error(), formatsOffered)
		}
		media = ""
	}
	data, err := b.read(b.server.Limits.Body)
	if err != nil {
		return nil, err
	}
	if media != "" {
		// It is the content of a Binary unless it is a Binary. Who says that it is
		// FHIR hears what is wrong with it.
		root, err := b.decode(data, format{contentType: media}.xml())
		switch {
		case err == nil && root.Str("resourceType") == "Binary":
			return root, protect(root, context, nil)
		case err != nil && (name == fhirJSON || name == fhirXML || fhir.KindOf(err) != fhir.Invalid):
			return nil, err
		}
	}
	switch {
	case len(data) == 0:
		return nil, fhir.Errorf(fhir.Invalid, "the request has no body")
	case len(data) > maxRawBinary:
		return nil, fhir.Errorf(fhir.TooLarge, "a Binary may have at most %d bytes", maxRawBinary)
	}
	root := &resource.Node{Kind: resource.Object, Fields: []resource.Field{{Name: "resourceType", Node: resource.Text("Binary")}}}
	if id != "" {
		root.Set("id", resource.Text(id))
	}
	root.Set("contentType", resource.Text(contentType))
	if context != "" {
		root.Set("securityContext", object(text("reference", context)))
	}
	root.Set("data", resource.Text(base64.StdEncoding.EncodeToString(data)))
	return root, nil
}

// contextReference is the reference in an X-Security-Context header, relative if
// it is to a resource of this server.
func (s *Server) contextReference(header string) string {
	return strings.TrimPrefix(strings.TrimSpace(header), s.basePrefix)
}

// protect gives a Binary that was sent as a resource the securityContext of the
// request's header. It passes err on.
func protect(root *resource.Node, context string, err error) error {
	if err != nil || context == "" || root.Str("resourceType") != "Binary" {
		return err
	}
	switch own := root.Get("securityContext"); {
	case own == nil:
		root.Set("securityContext", object(text("reference", context)))
	case own.Str("reference") != context:
		return &fhir.Error{Kind: fhir.Invalid, Issues: []fhir.Issue{{
			Message: securityContext + " is not the securityContext of the resource", Expression: "Binary.securityContext",
		}}}
	}
	return nil
}

// sendBinary answers a read of a Binary: with the document, or with the resource
// if the client asks for that. unacceptable is the error if no format of
// resources is accepted.
func (s *Server) sendBinary(c echo.Context, a *answer, chosen format, unacceptable error) error {
	plain := func() error {
		if unacceptable != nil && a.body != nil {
			return unacceptable
		}
		return s.send(c, a)
	}
	if a.resource == nil || a.outcome {
		return plain()
	}
	root, err := resource.Decode(a.resource.JSON)
	if err != nil {
		return fhir.Wrap(fhir.Internal, err, "a stored resource cannot be decoded")
	}
	header := c.Response().Header()
	if reference := root.Path("securityContext", "reference"); reference != nil {
		header.Set(securityContext, reference.Text)
	}
	// A part of the elements was asked for: that is no document.
	if a.body == nil || len(a.body) != len(a.resource.JSON) {
		return plain()
	}
	contentType := documentType(root.Str("contentType"))
	raw, resourceWanted := chosen.document(contentType)
	if !raw {
		if !resourceWanted {
			return fhir.Errorf(fhir.NotAcceptable, "this Binary is %s; accepted are that, %s", fhir.Clip(contentType), formatsOffered)
		}
		return plain()
	}
	data, err := base64.StdEncoding.DecodeString(strings.NewReplacer(" ", "", "\n", "", "\r", "", "\t", "").Replace(root.Str("data")))
	if err != nil {
		return fhir.Wrap(fhir.Internal, err, "a stored Binary has broken data")
	}
	s.versionHeaders(header, a)
	header.Set(echo.HeaderCacheControl, "no-store")
	// What others have stored must not run as a page of ours.
	header.Set(echo.HeaderXContentTypeOptions, "nosniff")
	header.Set(echo.HeaderContentDisposition, "attachment")
	header.Set(echo.HeaderContentSecurityPolicy, "default-src 'none'; sandbox")
	return transmit(c, a.status, contentType, data)
}

// documentType is the Content-Type of a stored document: what cannot be one is
// bytes.
func documentType(stored string) string {
	if name, _, err := mime.ParseMediaType(stored); err != nil || !strings.Contains(name, "/") || strings.ContainsAny(stored, "\r\n") {
		return echo.MIMEOctetStream
	}
	return stored
}

// document decides between a document of a type and the resource that holds it:
// only who asks for a format of FHIR by its name gets the resource, or who does
// not want the document, but would take the resource.
func (f format) document(contentType string) (raw, resourceWanted bool) {
	if f.named {
		return false, true
	}
	if len(f.ranges) == 0 {
		return true, true
	}
	name, _, _ := mime.ParseMediaType(contentType)
	document, _, _ := wanted(f.ranges, strings.ToLower(name))
	_, other := best(f.ranges, f.xml())
	named := 0.0
	for _, m := range f.ranges {
		if m.name == fhirJSON || m.name == fhirXML {
			named = max(named, m.q)
		}
	}
	return document > 0 && document > named && document >= other || document > 0 && named == 0 && document == other, other > 0
}

// locked reports whether the caller sees Binaries only by their securityContext.
func locked(scope *search.Scope, key fhir.Key) bool {
	return key.Type == "Binary" && scope.Of("Binary").Guarded != search.Closed
}

// sees reports whether the caller may read a version of a resource.
func (s *Server) sees(ctx context.Context, access search.Access, res *fhir.Resource) (bool, error) {
	if !locked(access.Scope(search.CanRead), res.Key) {
		return access.Sees(res), nil
	}
	return s.unlocked(ctx, access, access.Scope(search.CanRead), res)
}

// unlocked reports whether a caller's guarded right reaches a Binary: they see its
// securityContext, or it has none and their right is not limited to a patient. A
// deletion is where the version before it was.
func (s *Server) unlocked(ctx context.Context, access search.Access, scope *search.Scope, res *fhir.Resource) (bool, error) {
	if res.Deleted() {
		if res.Version < 2 {
			return false, nil
		}
		before, err := s.Store.ReadVersion(ctx, res.Key, res.Version-1)
		if err != nil || before.Deleted() {
			return false, unlessAbsent(err)
		}
		res = before
	}
	root, err := resource.Decode(res.JSON)
	if err != nil {
		return false, fhir.Wrap(fhir.Internal, err, "a stored resource cannot be decoded")
	}
	return s.unlockedBy(ctx, access, scope, root)
}

// unlockedBy is unlocked for what is not stored yet.
func (s *Server) unlockedBy(ctx context.Context, access search.Access, scope *search.Scope, root *resource.Node) (bool, error) {
	own := root.Get("securityContext")
	if own == nil {
		return scope.Of("Binary").Guarded == search.Open, nil
	}
	key, ok := s.contextKey(own.Str("reference"))
	if !ok || access.Allow("read", key.Type) != nil {
		return false, nil
	}
	res, err := s.Store.Read(ctx, key)
	if fhir.KindOf(err) == fhir.NotFound && err != nil {
		return access.Scope(search.CanRead).Of(key.Type).Whole, nil
	}
	if err != nil {
		return false, err
	}
	return access.Sees(res), nil
}

// contextKey returns the resource of this server that a securityContext names. A
// Binary protects no other: ok is false.
func (s *Server) contextKey(reference string) (key fhir.Key, ok bool) {
	reference, _, _ = strings.Cut(strings.TrimPrefix(reference, s.basePrefix), "/_history/")
	typ, id, found := strings.Cut(reference, "/")
	key, err := fhir.ParseKey(typ, id)
	return key, found && err == nil && resource.KnownType(typ) && typ != "Binary"
}

// unlessAbsent returns err unless it is that there is no such thing.
func unlessAbsent(err error) error {
	if fhir.KindOf(err) == fhir.NotFound {
		return nil
	}
	return err
}

// judge returns what of a stored version a write may know, as [write.sees] does,
// also of a Binary that its context guards.
func (s *Server) judge(ctx context.Context, access search.Access, w *write, now *fhir.Resource) (*fhir.Resource, error) {
	if now == nil || !locked(w.scope, now.Key) {
		return w.sees(access, now)
	}
	ok, err := s.unlocked(ctx, access, w.scope, now)
	if err != nil || !ok {
		return nil, err
	}
	return now, nil
}

// mayWrite returns an error unless what is about to be written lies where the
// caller may write.
func (s *Server) mayWrite(ctx context.Context, access search.Access, w *write, patients []string) error {
	if !locked(w.scope, w.key) {
		return w.owns(patients)
	}
	ok, err := s.unlockedBy(ctx, access, w.scope, w.root)
	if err == nil && !ok {
		err = fhir.Errorf(fhir.Forbidden, "not allowed: a Binary of this access must have a securityContext that it can read")
	}
	return err
}

// versionHeaders sets the headers about the version of an answer.
func (s *Server) versionHeaders(header http.Header, a *answer) {
	if a.resource != nil {
		header.Set("ETag", etag(a.resource.Version))
		header.Set(echo.HeaderLastModified, a.resource.Updated.UTC().Format(http.TimeFormat))
	}
	if a.located {
		header.Set(echo.HeaderLocation, s.basePrefix+versionPath(a.resource))
	}
}
