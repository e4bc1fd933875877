package embedded

import (
	"cmp"
	"container/heap"
	"context"
	"slices"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

// maxGather is the most resources one Gather returns.
const maxGather = 10_000

// Gather returns what goes along with a page; see [store.Store]. It holds no more
// keys than the limit in memory, and no more bytes than a page.
func (s *Store) Gather(ctx context.Context, g store.GatherQuery) ([]*fhir.Resource, bool, error) {
	if err := s.gate.Enter(ctx); err != nil {
		return nil, false, err
	}
	defer s.gate.Leave()
	if g.Limit < 1 || g.Limit > maxGather {
		return nil, false, fhir.Errorf(fhir.Invalid, "1 to %d resources can be gathered, not %d", maxGather, g.Limit)
	}
	now := s.visible.Load()
	snapshot := s.db.NewSnapshot()
	defer snapshot.Close() //nolint:errcheck // it only gives memory back
	v := &view{ctx: ctx, r: snapshot, t: now.t, most: s.tuning.mostLooked}
	in := gathering{walk: s.walk(v, search.Query{Scope: g.Scope}, place{}), g: g, seen: map[fhir.Key]bool{}}
	found, more := in.run()
	if err := v.close(); err != nil {
		return nil, false, s.internal(ctx, err, "gathering")
	}
	return found, more, nil
}

// gathering keeps the first keys of all there are, with the last of them on top.
type gathering struct {
	*walk
	g    store.GatherQuery
	seen map[fhir.Key]bool // what is kept
	kept []gathered
	more bool
}

type gathered struct {
	fhir.Key
	doc uint64
}

func compareKeys(a, b fhir.Key) int {
	return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.ID, b.ID))
}

func (in *gathering) Len() int           { return len(in.kept) }
func (in *gathering) Less(i, j int) bool { return compareKeys(in.kept[i].Key, in.kept[j].Key) > 0 }
func (in *gathering) Swap(i, j int)      { in.kept[i], in.kept[j] = in.kept[j], in.kept[i] }
func (in *gathering) Push(x any)         { in.kept = append(in.kept, x.(gathered)) }
func (in *gathering) Pop() any {
	last := in.kept[len(in.kept)-1]
	in.kept = in.kept[:len(in.kept)-1]
	return last
}

func (in *gathering) offer(key fhir.Key, doc uint64) {
	if in.seen[key] {
		return
	}
	if len(in.kept) == in.g.Limit {
		in.more = true
		if compareKeys(key, in.kept[0].Key) > 0 {
			return
		}
		delete(in.seen, heap.Pop(in).(gathered).Key)
	}
	in.seen[key] = true
	heap.Push(in, gathered{key, doc})
}

func (in *gathering) run() ([]*fhir.Resource, bool) {
	for _, key := range in.g.Keys {
		in.named(key)
	}
	for i := range in.g.Referring {
		in.referring(&in.g.Referring[i])
	}
	slices.SortFunc(in.kept, func(a, b gathered) int { return compareKeys(a.Key, b.Key) })
	for part := range slices.Chunk(in.kept, gatherChunk) {
		read := in.read(part)
		for _, k := range part {
			switch {
			case in.size >= store.MaxPageBytes:
				return in.resources, true
			case read != nil:
				if res := read[k.doc]; res != nil {
					in.resources, in.size = append(in.resources, res), in.size+len(res.JSON)
				}
			default:
				typ, _ := in.s.types.number(k.Type)
				in.take(found{typ, k.doc}, k.Type, true)
			}
			if in.v.err != nil {
				return nil, false
			}
		}
	}
	return in.resources, in.more
}

// gatherChunk is how many resources are read in the order of the folder before
// they are put in that of their keys.
const gatherChunk = 500

// read returns resources by document number, or nil if they are so large that
// they had better be read one by one. What was written together lies together, so
// the order of the folder saves reading most blocks again and again.
func (in *gathering) read(part []gathered) map[uint64]*fhir.Resource {
	one := walk{s: in.s, v: in.v, q: in.q, size: in.size}
	read := make(map[uint64]*fhir.Resource, len(part))
	for _, k := range slices.SortedFunc(slices.Values(part), func(a, b gathered) int { return cmp.Compare(a.doc, b.doc) }) {
		typ, _ := in.s.types.number(k.Type)
		if one.resources = one.resources[:0]; one.take(found{typ, k.doc}, k.Type, true) {
			read[k.doc] = one.resources[0]
		}
		if one.size >= store.MaxPageBytes {
			return nil
		}
	}
	return read
}

// named offers a resource by its key.
func (in *gathering) named(key fhir.Key) {
	typ, known := in.s.types.number(key.Type)
	if !known || in.seen[key] || in.v.err != nil {
		return
	}
	doc := in.v.docOf(typ, key.ID)
	if doc == 0 || !in.v.alive(typ, doc) {
		return
	}
	if !in.q.Scope.Of(key.Type).Whole {
		row, _, ok := in.v.version(doc)
		if !ok || !in.q.Scope.Sees(&fhir.Resource{Key: key, Patients: row.patients}) {
			return
		}
	}
	in.offer(key, doc)
}

// referring offers what matches a clause.
func (in *gathering) referring(r *store.Referring) {
	own, ok := in.q.Scope.Clauses(r.Type)
	if !ok || in.v.err != nil {
		return
	}
	c := in.p.plan(r.Type, append(own, r.Clause), forth)
	for doc, ok := c.match(0); ok; doc, ok = c.match(doc + 1) {
		in.v.look(c.free)
		id := in.v.idOf(doc)
		if in.v.err != nil {
			return
		}
		in.offer(fhir.Key{Type: r.Type, ID: id}, doc)
	}
}
