package embedded

import (
	"context"
	"errors"

	"github.com/cockroachdb/pebble/v2"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/store"
)

// Read returns the newest version; see [store.Store].
func (s *Store) Read(ctx context.Context, key fhir.Key) (*fhir.Resource, error) {
	return s.read(ctx, key, 0)
}

// ReadVersion returns one version; see [store.Store].
func (s *Store) ReadVersion(ctx context.Context, key fhir.Key, version int64) (*fhir.Resource, error) {
	if version < 1 {
		return nil, fhir.Errorf(fhir.NotFound, "%s has no version %d", key, version)
	}
	return s.read(ctx, key, version)
}

// read returns a version, with 0 the newest one that is visible.
func (s *Store) read(ctx context.Context, key fhir.Key, version int64) (*fhir.Resource, error) {
	if err := s.gate.Enter(ctx); err != nil {
		return nil, err
	}
	defer s.gate.Leave()
	for {
		res, again, err := s.readOnce(key, version)
		switch {
		case err != nil:
			return nil, s.internal(ctx, err, "reading")
		case !again:
			return res, nil
		case ctx.Err() != nil:
			return nil, store.Cancelled(ctx)
		}
	}
}

// readOnce is read. again says that what was looked for was erased meanwhile,
// behind a version that has become visible.
func (s *Store) readOnce(key fhir.Key, version int64) (res *fhir.Resource, again bool, err error) {
	absent := fhir.Errorf(fhir.NotFound, "%s is not known", key)
	if version != 0 {
		absent = fhir.Errorf(fhir.NotFound, "%s has no version %d", key, version)
	}
	now := s.visible.Load().t
	typ, ok := s.types.number(key.Type)
	if !ok {
		return nil, false, absent
	}
	h, err := findHead(s.db, typ, key.ID)
	if err != nil {
		return nil, false, err
	}
	newest := version == 0
	if newest {
		version = h.version
	}
	if version > h.version {
		return nil, false, absent
	}
	// A version that is not durable yet is not there yet.
	for ; version > 0 && version >= h.oldest(); version-- {
		res, t, err := s.versionAt(s.db, key, h.doc, version)
		if errors.Is(err, errRow) {
			if h, headErr := findHead(s.db, typ, key.ID); headErr == nil && version < h.oldest() {
				break
			}
		}
		if err != nil {
			return nil, false, err
		}
		if t <= now {
			return res, false, nil
		}
		if !newest {
			break
		}
	}
	if newest && version > 0 {
		return nil, true, nil
	}
	return nil, false, absent
}

// patientsAt returns the compartments of a version, which must be there.
func (s *Store) patientsAt(doc uint64, version int64) ([]string, error) {
	var space [16]byte
	value, closer, err := s.db.Get(versionKey(space[:0], doc, version))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, errRow
	}
	if err != nil {
		return nil, err
	}
	row, err := parseVersion(value)
	if closeErr := closer.Close(); err == nil {
		err = closeErr
	}
	return row.patients, err
}

// version returns one version, which must be there.
func (s *Store) version(r pebble.Reader, key fhir.Key, doc uint64, version int64) (*fhir.Resource, error) {
	res, _, err := s.versionAt(r, key, doc, version)
	return res, err
}

// versionAt returns one version, which must be there, and its logical time.
func (s *Store) versionAt(r pebble.Reader, key fhir.Key, doc uint64, version int64) (*fhir.Resource, uint64, error) {
	var space [16]byte
	value, closer, err := r.Get(versionKey(space[:0], doc, version))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, 0, errRow
	}
	if err != nil {
		return nil, 0, err
	}
	row, err := parseVersion(value)
	var res *fhir.Resource
	if err == nil {
		res = row.resource(key.Type, version)
	}
	if closeErr := closer.Close(); err == nil {
		err = closeErr
	}
	return res, row.t, err
}
