package rest

import (
	"bytes"
	"net/http"
	"slices"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
	"github.com/starling-fhir/starling/fhir/search"
)

// metaLists are the members of Meta that $meta is about, each with the search
// parameter that has an entry for each of its values.
var metaLists = [...]struct{ name, param string }{
	{"profile", "_profile"}, {"security", "_security"}, {"tag", "_tag"},
}

// maxMetaValues is the most different index entries that a summary of a type or
// of the system may come from.
const maxMetaValues = 5000

// metaOfOne serves GET [base]/[type]/[id]/$meta,
// https://hl7.org/fhir/R4/resource-operation-meta.html.
func (s *Server) metaOfOne(r *request, in *inputs) (*answer, error) {
	if err := in.done(); err != nil {
		return nil, err
	}
	res, err := s.current(r)
	if err != nil {
		return nil, err
	}
	return &answer{status: http.StatusOK, body: metaOf(res)}, nil
}

// metaOfVersion serves GET [base]/[type]/[id]/_history/[version]/$meta.
func (s *Server) metaOfVersion(r *request, in *inputs) (*answer, error) {
	if err := in.done(); err != nil {
		return nil, err
	}
	plain := &request{ctx: r.ctx, access: r.access, typ: r.typ, id: r.id, version: r.version}
	a, err := s.vread(plain)
	if err != nil {
		return nil, err
	}
	return &answer{status: http.StatusOK, body: metaOf(a.resource)}, nil
}

// metaOf answers with the meta of a version.
func metaOf(res *fhir.Resource) []byte {
	meta := resource.Node{Kind: resource.Object}
	if root, err := resource.Decode(res.JSON); err == nil && root.Get("meta") != nil {
		meta = *root.Get("meta")
	}
	return outputs(outputValue("return", "valueMeta", meta))
}

// metaOfAll serves GET [base]/$meta and GET [base]/[type]/$meta: the profiles,
// security labels and tags that are in use, as far as the caller may search.
//
// Each is found in the index: a search for resources with a value that is none
// of those known already gives at least one more, until there are none.
func (s *Server) metaOfAll(r *request, in *inputs) (*answer, error) {
	if err := in.done(); err != nil {
		return nil, err
	}
	meta := resource.Node{Kind: resource.Object}
	for _, kind := range metaLists {
		items, err := s.valuesInUse(r, kind.name, kind.param)
		if err != nil {
			return nil, err
		}
		if len(items) > 0 {
			meta.Set(kind.name, resource.Node{Kind: resource.Array, Items: items})
		}
	}
	if len(meta.Fields) == 0 {
		// FHIR has no empty objects, so that there is nothing is told by nothing.
		return &answer{status: http.StatusOK, body: outputs()}, nil
	}
	return &answer{status: http.StatusOK, body: outputs(outputValue("return", "valueMeta", meta))}, nil
}

// valuesInUse returns the different values of one list of meta, sorted.
func (s *Server) valuesInUse(r *request, name, param string) ([]resource.Node, error) {
	const some = 50 // resources looked at in one round
	q := search.Query{Count: some, Total: search.TotalNone, Identity: "meta|" + r.typ + "|" + param}
	if r.typ != "" {
		q.Types = []string{r.typ}
	}
	known := make(map[string]resource.Node)
	var seen [][]byte // entries of values that are known, sorted
	for {
		q.Where = []search.Clause{{Param: param, Ranges: between(seen)}}
		page, err := s.Store.Search(r.ctx, r.access.Narrow(q))
		if err != nil {
			return nil, err
		}
		before := len(seen)
		for _, res := range page.Resources {
			root, err := resource.Decode(res.JSON)
			if err != nil {
				return nil, fhir.Wrap(fhir.Internal, err, "a stored resource cannot be decoded")
			}
			for _, item := range root.Get("meta").List(name) {
				if key := labelKey(&item); known[key].Kind == resource.Null {
					known[key] = item
				}
			}
			entries, _, err := s.registry().Extract(root)
			if err != nil {
				return nil, err
			}
			for _, e := range entries {
				if e.Param != param {
					continue
				}
				if at, found := slices.BinarySearchFunc(seen, e.Value, bytes.Compare); !found {
					seen = slices.Insert(seen, at, bytes.Clone(e.Value))
				}
			}
		}
		switch {
		case len(seen) > maxMetaValues:
			return nil, fhir.Errorf(fhir.TooCostly, "there are too many different values of meta.%s to list; ask for one type", name)
		case len(seen) == before:
			keys := make([]string, 0, len(known))
			for key := range known {
				keys = append(keys, key)
			}
			slices.Sort(keys)
			items := make([]resource.Node, len(keys))
			for i, key := range keys {
				items[i] = known[key]
			}
			return items, nil
		}
	}
}

// between are the ranges that hold every value but some, which are sorted.
func between(values [][]byte) []search.Range {
	var ranges []search.Range
	from := []byte{}
	for _, value := range values {
		if bytes.Compare(from, value) < 0 {
			ranges = append(ranges, search.Range{From: from, To: value})
		}
		from = append(bytes.Clone(value), 0)
	}
	return append(ranges, search.Range{From: from})
}

// labelKey is what a profile, tag or label is known by: its URL, or its system
// and code. Version and display do not count.
func labelKey(n *resource.Node) string {
	if n.Kind == resource.String {
		return n.Text
	}
	return n.Str("system") + "|" + n.Str("code")
}

// metaAdd serves POST [base]/[type]/[id]/$meta-add,
// https://hl7.org/fhir/R4/resource-operation-meta-add.html. R4 lets a server
// change meta without a new version. This one makes a new version, by PATCH: else
// two versions with one ETag would differ, and nobody could tell when and how a
// security label came and went. What is there already makes none.
func (s *Server) metaAdd(r *request) (*write, error) {
	return s.changeMeta(r, func(have, given *resource.Node) {
		for _, item := range given.Each() {
			if !hasLabel(have, &item) {
				insertItem(have, len(have.Items), item)
			}
		}
	})
}

// metaDelete serves POST [base]/[type]/[id]/$meta-delete,
// https://hl7.org/fhir/R4/resource-operation-meta-delete.html.
func (s *Server) metaDelete(r *request) (*write, error) {
	return s.changeMeta(r, func(have, given *resource.Node) {
		for i := len(have.Items) - 1; i >= 0; i-- {
			if hasLabel(given, &have.Items[i]) {
				removeItem(have, i)
			}
		}
	})
}

func hasLabel(list, label *resource.Node) bool {
	key := labelKey(label)
	return slices.ContainsFunc(list.Each(), func(n resource.Node) bool { return labelKey(&n) == key })
}

// changeMeta makes the write of an operation on meta; change changes one list by
// the one given.
func (s *Server) changeMeta(r *request, change func(have, given *resource.Node)) (*write, error) {
	key, err := r.key()
	if err != nil {
		return nil, err
	}
	if err := r.mayReadPatched(); err != nil {
		return nil, err
	}
	in, err := s.postedInputs(r)
	if err != nil {
		return nil, err
	}
	given, err := in.required("meta", "Meta")
	if err == nil {
		err = in.done()
	}
	if err != nil {
		return nil, err
	}
	w, err := newWrite(r, fhir.Patch)
	if err != nil {
		return nil, err
	}
	w.id, w.unless, w.reply = key.ID, r.ifNoneMatch, metaOf
	w.patch = func(root *resource.Node) error {
		meta := root.Get("meta")
		for _, kind := range metaLists {
			asked := given.Get(kind.name)
			if asked == nil {
				continue
			}
			have := meta.Get(kind.name)
			if have == nil {
				meta.Set(kind.name, resource.Node{Kind: resource.Array})
				have = meta.Get(kind.name)
			}
			change(have, asked)
		}
		return nil
	}
	return w, nil
}
