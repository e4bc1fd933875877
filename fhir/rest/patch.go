package rest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"mime"
	"slices"
	"strconv"
	"strings"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
	"github.com/starling-fhir/starling/fhir/search"
)

// maxPatchOperations is the most operations of one patch.
const maxPatchOperations = 1000

// jsonPatchMedia is the media type of a JSON Patch.
const jsonPatchMedia = "application/json-patch+json"

// patchFormats is what a PATCH may be sent as, for the header Accept-Patch of
// https://www.rfc-editor.org/rfc/rfc5789#section-3.1. A FHIRPath Patch is a
// Parameters resource in any format that resources have.
const patchFormats = jsonPatchMedia + ", " + fhirJSON + ", " + fhirXML

const acceptPatch = "Accept-Patch"

// patcher changes a resource in place. It may be called again, with a newer
// version. What it has been given must be thrown away after an error.
type patcher func(root *resource.Node) error

// patch serves PATCH [base]/[type]/[id], https://hl7.org/fhir/R4/http.html#patch,
// with a JSON Patch or a FHIRPath Patch.
func (s *Server) patch(r *request) (*write, error) {
	key, err := r.key()
	if err != nil {
		return nil, err
	}
	w, err := s.newPatch(r)
	if err != nil {
		return nil, err
	}
	w.id = key.ID
	return w, nil
}

// patchConditional serves PATCH [base]/[type]?[criteria]. If nothing matches, the
// error is NotFound: there is nothing that could be patched.
func (s *Server) patchConditional(r *request) (*write, error) {
	criteria, err := s.parseCriteria(r.access, r.typ, r.query)
	if err != nil {
		return nil, err
	}
	w, err := s.newPatch(r)
	if err != nil {
		return nil, err
	}
	w.criteria = criteria
	return w, nil
}

// newPatch reads the patch of a request. Whether a test or a condition of a patch
// holds tells what is stored, so who patches must be allowed to read.
func (s *Server) newPatch(r *request) (*write, error) {
	if err := r.mayReadPatched(); err != nil {
		return nil, err
	}
	w, err := newWrite(r, fhir.Patch)
	if err != nil {
		return nil, err
	}
	document, err := r.patch()
	if err != nil {
		return nil, err
	}
	if document.Kind == resource.Array {
		w.patch, err = parseJSONPatch(document)
	} else {
		w.patch, err = s.parseFHIRPathPatch(document)
	}
	w.unless = r.ifNoneMatch
	return w, err
}

// mayReadPatched returns an error if the caller may read nothing of the type that
// they are about to patch.
func (r *request) mayReadPatched() error {
	if err := r.access.Allow("read", r.typ); err != nil {
		return fhir.Errorf(fhir.Forbidden, "not allowed: patch of %s without the right to read it, because what becomes of a patch tells what is stored", r.typ)
	}
	return nil
}

// patch reads the body of a PATCH: a list is a JSON Patch, an object a resource.
func (b *body) patch() (*resource.Node, error) {
	if !jsonPatchType(b.in.Header.Get("Content-Type")) {
		root, err := b.resource()
		if fhir.KindOf(err) == fhir.UnsupportedMedia {
			return nil, fhir.Errorf(fhir.UnsupportedMedia, "a patch is not understood in this Content-Type; send a JSON Patch as %s, or the Parameters of a FHIRPath Patch as %s or %s", jsonPatchMedia, fhirJSON, fhirXML)
		}
		return root, err
	}
	data, err := b.read(b.server.Limits.Body)
	if err != nil {
		return nil, err
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, fhir.Errorf(fhir.Invalid, "the request has no body")
	}
	b.restart()
	return decodeJSONPatch(data)
}

// jsonPatchType reports whether a media type is that of JSON Patches.
func jsonPatchType(contentType string) bool {
	name, _, _ := mime.ParseMediaType(contentType)
	return name == jsonPatchMedia
}

// decodeJSONPatch decodes a JSON Patch document.
func decodeJSONPatch(data []byte) (*resource.Node, error) {
	if n := values(data); n > maxPatchValues {
		return nil, tooMuchPatched()
	}
	root, err := resource.Decode(bytes.TrimPrefix(data, []byte("\ufeff")))
	if err != nil {
		return nil, err
	}
	if root.Kind != resource.Array {
		return nil, invalid("structure", "", "a JSON Patch is a list of operations; a FHIRPath Patch is sent with Content-Type: "+fhirJSON)
	}
	return root, nil
}

// patchOf returns the patch of an entry: a JSON Patch in a Binary, or the
// Parameters of a FHIRPath Patch. https://hl7.org/fhir/R4/http.html#patch
func patchOf(body *resource.Node) (*resource.Node, error) {
	if body.Str("resourceType") != "Binary" {
		return body, nil
	}
	if media := body.Str("contentType"); !jsonPatchType(media) {
		return nil, at(fhir.Errorf(fhir.UnsupportedMedia, "a Binary that is a patch has the contentType %s, not %s; a FHIRPath Patch is a Parameters resource",
			jsonPatchMedia, fhir.Clip(media)), "Binary.contentType")
	}
	text := strings.NewReplacer(" ", "", "\n", "", "\r", "", "\t", "").Replace(body.Str("data"))
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(data) == 0 {
		return nil, invalid("value", "Binary.data", "the patch must be here as base64 text")
	}
	root, err := decodeJSONPatch(data)
	return root, at(err, "Binary.data")
}

func tooManyOperations(n int) error {
	return fhir.Errorf(fhir.TooLarge, "the patch has %d operations; at most %d are allowed", n, maxPatchOperations)
}

func tooMuchPatched() error {
	return fhir.Errorf(fhir.TooLarge, "the patch puts more than %d JSON values into the resource", maxPatchValues)
}

// applyPatch makes the change of a patch out of the version that is there. It is
// done anew when another write gets in between, on what is there then.
func (s *Server) applyPatch(u *unit, w *write, now *fhir.Resource) error {
	if w.unless != "" && matchesVersion(w.unless, now.Version) {
		return fhir.Errorf(fhir.PreconditionFail, "If-None-Match names version %d, which %s is at", now.Version, now.Key)
	}
	root, err := resource.Decode(now.JSON)
	if err != nil {
		return err
	}
	before, err := resource.Decode(now.JSON)
	if err != nil {
		return err
	}
	w.had = make(map[string]bool)
	if w.entry != nil {
		resource.EachReference(before, func(_ string, ref *resource.Node) { w.had[ref.Str("reference")] = true })
	}
	if err := w.patch(root); err != nil {
		return err
	}
	prune(root)
	if err := sameIdentity(root, before); err != nil {
		return err
	}
	for _, n := range [...]*resource.Node{root, before} {
		dropServerMeta(n)
	}
	if sameText(root, before) {
		w.root, w.links, w.change, w.result = nil, nil, nil, now
		return nil
	}
	if err := keepNarrativeTrue(root, before); err != nil {
		return err
	}
	if err := s.Gate.Check(root); err != nil {
		return err
	}
	w.root = root
	w.links = u.collect(w)
	return nil
}

// matchesVersion reports whether If-None-Match names a version.
func matchesVersion(header string, version int64) bool {
	have := strconv.FormatInt(version, 10)
	for tag := range strings.SplitSeq(header, ",") {
		if tag = strings.Trim(strings.TrimPrefix(strings.TrimSpace(tag), "W/"), `"`); tag == "*" || tag == have {
			return true
		}
	}
	return false
}

// sameIdentity returns an error if a patch made another resource of one.
func sameIdentity(root, before *resource.Node) error {
	if root.Kind != resource.Object {
		return fhir.Errorf(fhir.Unprocessable, "the patch leaves no resource")
	}
	for _, name := range [...]string{"resourceType", "id"} {
		if a, b := root.Get(name), before.Get(name); a == nil || !sameJSON(a, b) {
			return &fhir.Error{Kind: fhir.Unprocessable, Issues: []fhir.Issue{{
				Message: "a patch cannot change " + name, Expression: before.Str("resourceType") + "." + name,
			}}}
		}
	}
	return nil
}

// dropServerMeta takes away what the server writes itself: what a patch does to
// it does not count.
func dropServerMeta(root *resource.Node) {
	meta := root.Get("meta")
	if meta == nil || meta.Kind != resource.Object {
		return
	}
	for _, name := range [...]string{"versionId", "lastUpdated"} {
		removeMember(meta, name)
	}
	if len(meta.Fields) == 0 {
		removeMember(root, "meta")
	}
}

// sameText reports whether two trees are the same resource: members in any
// order, but numbers as written, because 1.50 is not 1.5.
func sameText(a, b *resource.Node) bool {
	if a.Kind != b.Kind || a.Text != b.Text || len(a.Items) != len(b.Items) || len(a.Fields) != len(b.Fields) {
		return false
	}
	for i := range a.Items {
		if !sameText(&a.Items[i], &b.Items[i]) {
			return false
		}
	}
	for i := range a.Fields {
		other := b.Get(a.Fields[i].Name)
		if other == nil || !sameText(&a.Fields[i].Node, other) {
			return false
		}
	}
	return true
}

// prune takes away lists and objects that a patch has emptied: FHIR has none.
// https://hl7.org/fhir/R4/json.html
func prune(n *resource.Node) {
	for i := range n.Items {
		prune(&n.Items[i])
	}
	n.Items = slices.DeleteFunc(n.Items, func(item resource.Node) bool { return hollow(&item) })
	for i := range n.Fields {
		f := &n.Fields[i]
		if strings.HasPrefix(f.Name, "_") {
			// An item stands for the primitive beside it: it cannot go alone.
			for j := range f.Node.Items {
				if prune(&f.Node.Items[j]); hollow(&f.Node.Items[j]) {
					f.Node.Items[j] = resource.Node{}
				}
			}
		}
		prune(&f.Node)
	}
	n.Fields = slices.DeleteFunc(n.Fields, func(f resource.Field) bool { return hollow(&f.Node) || nulls(&f.Node) })
}

func hollow(n *resource.Node) bool {
	return n.Kind == resource.Array && len(n.Items) == 0 || n.Kind == resource.Object && len(n.Fields) == 0
}

// nulls reports whether a list is of nothing but nulls, as the list beside one of
// primitives whose extensions are gone.
func nulls(n *resource.Node) bool {
	return n.Kind == resource.Array && !slices.ContainsFunc(n.Items, func(item resource.Node) bool { return item.Kind != resource.Null })
}

// keepNarrativeTrue sees to it that the narrative of a patched resource does not
// say what its data no longer do, as R4 demands. One that was generated from the
// data is taken away, unless the patch has changed it too; one that says more
// than the data cannot be, so the error is Unprocessable.
//
// https://hl7.org/fhir/R4/http.html#patch
func keepNarrativeTrue(root, before *resource.Node) error {
	text := root.Get("text")
	if text == nil || before.Get("text") == nil || !sameText(text, before.Get("text")) || !dataDiffer(root, before) {
		return nil
	}
	switch text.Str("status") {
	case "generated", "extensions":
		removeMember(root, "text")
	case "additional":
		return &fhir.Error{Kind: fhir.Unprocessable, Issues: []fhir.Issue{{
			Message: "the narrative says more than the data (its status is additional), and the patch changes the data but not the narrative; " +
				"patch text too, or take it away",
			Expression: root.Str("resourceType") + ".text",
		}}}
	}
	return nil
}

// dataDiffer reports whether two versions differ in more than what is about the
// resource as a record.
func dataDiffer(a, b *resource.Node) bool {
	about := func(name string) bool {
		switch name {
		case "meta", "text", "language", "_language", "implicitRules", "_implicitRules":
			return true
		}
		return false
	}
	for _, pair := range [...][2]*resource.Node{{a, b}, {b, a}} {
		for i := range pair[0].Fields {
			f := &pair[0].Fields[i]
			if other := pair[1].Get(f.Name); !about(f.Name) && (other == nil || !sameText(&f.Node, other)) {
				return true
			}
		}
	}
	return false
}

// resolvePatch prepares a patch by id. What the caller may not see is as absent.
func (s *Server) resolvePatch(ctx context.Context, access search.Access, u *unit, w *write) error {
	now, err := s.stored(ctx, w.key)
	if err != nil {
		return err
	}
	if now == nil {
		return notFound(w.key)
	}
	if ok, err := s.sees(ctx, access, now); err != nil || !ok {
		return cmp.Or(err, notFound(w.key))
	}
	if now.Deleted() {
		return fhir.Errorf(fhir.Deleted, "%s was deleted; what is not there cannot be patched", w.key)
	}
	if mine, err := s.judge(ctx, access, w, now); err != nil || mine == nil {
		return cmp.Or(err, w.notOwned(now))
	}
	if err := w.replace(now, nil); err != nil {
		return err
	}
	return s.applyPatch(u, w, now)
}
