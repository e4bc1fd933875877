package rest

import (
	"bytes"
	"context"
	"fmt"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
	"github.com/starling-fhir/starling/fhir/store"
)

// Install stores resources that ship with the program, JSON documents with ids
// of their own, where what is stored differs from them but for meta.versionId
// and meta.lastUpdated: what a client has changed or deleted is as shipped
// again. Either all are stored or none. Several servers may install into one
// store at once. changed is how many resources this call has written. The error
// is Invalid if a document is no valid resource with an id, or if two are the
// same resource.
func (s *Server) Install(ctx context.Context, docs [][]byte) (changed int, err error) {
	for attempt := 1; ; attempt++ {
		changes, err := s.shipped(docs)
		if err != nil {
			return 0, err
		}
		changed, err = s.install(ctx, changes)
		switch fhir.KindOf(err) {
		case fhir.VersionMismatch, fhir.Duplicate, fhir.Conflict: // another server was faster
			if attempt == attempts {
				return 0, err
			}
		default:
			return changed, err
		}
		if err := pause(ctx, attempt); err != nil {
			return 0, err
		}
		if err := s.learn(ctx); err != nil {
			return 0, err
		}
	}
}

// shipped makes the changes that would write documents.
func (s *Server) shipped(docs [][]byte) ([]store.Change, error) {
	changes := make([]store.Change, 0, len(docs))
	registry := s.registry()
	seen := make(map[fhir.Key]bool, len(docs))
	for i, doc := range docs {
		root, err := resource.Decode(doc)
		if err != nil {
			return nil, fmt.Errorf("resource %d to install: %w", i, err)
		}
		key, err := fhir.ParseKey(root.Str("resourceType"), root.Str("id"))
		if err != nil {
			return nil, fmt.Errorf("resource %d to install: %w", i, err)
		}
		if seen[key] {
			return nil, fhir.Errorf(fhir.Invalid, "%s is to be installed twice", key)
		}
		seen[key] = true
		if err := s.Gate.Check(root); err != nil {
			return nil, fmt.Errorf("%s to install: %w", key, err)
		}
		entries, patients, err := registry.Extract(root)
		if err != nil {
			return nil, fmt.Errorf("%s to install: %w", key, err)
		}
		changes = append(changes, store.Change{
			Key: key, Method: fhir.Update, Body: resource.NewBody(root, key.ID), Entries: entries, Patients: patients, Revision: registry.Revision(),
		})
	}
	return changes, nil
}

// install writes those of the changes that would change something, each over
// the version it was compared with.
func (s *Server) install(ctx context.Context, changes []store.Change) (int, error) {
	var differing []store.Change
	for _, change := range changes {
		now, err := s.stored(ctx, change.Key)
		if err != nil {
			return 0, err
		}
		switch {
		case now == nil || now.Deleted():
			change.IfNone = true
		case bytes.Equal(now.JSON, change.Body.Stamp(now.Version, now.Updated)):
			continue
		default:
			change.IfVersion = now.Version
		}
		differing = append(differing, change)
	}
	if len(differing) == 0 {
		return 0, nil
	}
	_, err := s.Store.Write(ctx, differing)
	if err != nil {
		return 0, err
	}
	return len(differing), nil
}

// stored returns the newest version of a resource, nil if there never was one.
func (s *Server) stored(ctx context.Context, key fhir.Key) (*fhir.Resource, error) {
	res, err := s.Store.Read(ctx, key)
	if fhir.KindOf(err) == fhir.NotFound {
		return nil, nil
	}
	return res, err
}
