package embedded

import (
	"bytes"
	"cmp"
	"errors"
	"hash/maphash"
	"slices"

	"github.com/cockroachdb/pebble/v2"
)

// findHead returns the head of a key as the reader sees it.
func findHead(r pebble.Reader, typ uint16, id string) (head, error) {
	var space [80]byte
	value, closer, err := r.Get(headKey(space[:0], typ, id))
	if errors.Is(err, pebble.ErrNotFound) {
		return head{}, nil
	}
	if err != nil {
		return head{}, err
	}
	h, err := parseHead(value)
	if closeErr := closer.Close(); err == nil {
		err = closeErr
	}
	return h, err
}

// fewHeads is how many heads are looked up one by one. More are found by one
// iterator in key order: the ids of a bundle's new resources are neighbours, so
// nearly all seeks stay in a block that is open already.
const fewHeads = 4

// findHeads returns the heads of the changes' keys, in their order.
func findHeads(r pebble.Reader, changes []*change) ([]head, error) {
	heads := make([]head, len(changes))
	if len(changes) <= fewHeads {
		for i, c := range changes {
			var err error
			if heads[i], err = findHead(r, c.typ, c.Key.ID); err != nil {
				return nil, err
			}
		}
		return heads, nil
	}

	order := make([]int, len(changes))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(changes[a].typ, changes[b].typ), cmp.Compare(changes[a].Key.ID, changes[b].Key.ID))
	})
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: []byte{tableHead}, UpperBound: []byte{tableHead + 1}})
	if err != nil {
		return nil, err
	}
	key := make([]byte, 0, 80)
	for _, i := range order {
		key = headKey(key[:0], changes[i].typ, changes[i].Key.ID)
		if !it.SeekGE(key) || !bytes.Equal(it.Key(), key) {
			if err := it.Error(); err != nil {
				return nil, errors.Join(err, it.Close())
			}
			continue
		}
		if heads[i], err = parseHead(it.Value()); err != nil {
			return nil, errors.Join(err, it.Close())
		}
	}
	return heads, it.Close()
}

// recent remembers which keys changed lately, so that the serial section looks
// up only the heads that another write may have changed since a write was
// prepared. The commit lock guards it.
type recent struct {
	seed  maphash.Seed
	since uint64 // every change after this t is remembered
	split uint64 // newer holds all of those after this t
	newer map[uint64]uint64
	older map[uint64]uint64
}

// recentKeys is how many keys each half of a recent holds before the older half
// is forgotten: about 2 MB together, and many bundles' worth.
const recentKeys = 1 << 15

func newRecent(t uint64) recent {
	return recent{seed: maphash.MakeSeed(), since: t, split: t, newer: map[uint64]uint64{}}
}

func (r *recent) hash(typ uint16, id string) uint64 {
	var h maphash.Hash
	h.SetSeed(r.seed)
	h.WriteByte(byte(typ >> 8))
	h.WriteByte(byte(typ))
	h.WriteString(id)
	return h.Sum64()
}

// note remembers that a key changed at t.
func (r *recent) note(typ uint16, id string, t uint64) {
	if len(r.newer) >= recentKeys && t > r.split {
		r.older, r.newer = r.newer, make(map[uint64]uint64, recentKeys)
		r.since, r.split = r.split, t
	}
	r.newer[r.hash(typ, id)] = t
}

// maybe reports whether a key may have changed after t. It never says
// no wrongly: what is forgotten, and what has the hash of another key, may have.
func (r *recent) maybe(typ uint16, id string, t uint64) bool {
	if t < r.since {
		return true
	}
	h := r.hash(typ, id)
	return r.newer[h] > t || r.older[h] > t
}
