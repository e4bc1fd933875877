package rest

import (
	"context"
	"strings"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/search"
	"github.com/starling-fhir/starling/fhir/store"
)

// careless is a store that lets slip what it should not, in one of several ways.
type careless struct {
	store.Store
	search, history, total, read, version, cursor, deleted, gather bool
}

func (c careless) Gather(ctx context.Context, g store.GatherQuery) ([]*fhir.Resource, bool, error) {
	if c.gather {
		g.Scope = nil
	}
	return c.Store.Gather(ctx, g)
}

func (c careless) Search(ctx context.Context, q search.Query) (*search.Page, error) {
	scope := q.Scope
	if c.search {
		q.Scope = nil
	}
	page, err := c.Store.Search(ctx, q)
	if err != nil {
		return page, err
	}
	if c.total && scope != nil && page.Total >= 0 {
		q.Scope, q.Cursor = nil, ""
		if all, err := c.Store.Search(ctx, q); err == nil {
			page.Total = all.Total
		}
	}
	if c.cursor && page.Next != "" {
		everything := search.Query{Types: q.Types, Total: search.TotalAccurate, Identity: "everything"}
		if all, err := c.Store.Search(ctx, everything); err == nil {
			page.Next += strings.Repeat("x", int(all.Total))
		}
	}
	return page, nil
}

func (c careless) History(ctx context.Context, h store.HistoryQuery) (*search.Page, error) {
	if c.history {
		h.Scope = nil
	}
	return c.Store.History(ctx, h)
}

func (c careless) Read(ctx context.Context, key fhir.Key) (*fhir.Resource, error) {
	res, err := c.Store.Read(ctx, key)
	if err == nil && (c.read || c.deleted && res.Deleted()) {
		copied := *res
		copied.Patients = []string{"ada"}
		return &copied, nil
	}
	return res, err
}

func (c careless) ReadVersion(ctx context.Context, key fhir.Key, version int64) (*fhir.Resource, error) {
	res, err := c.Store.ReadVersion(ctx, key, version)
	if err == nil && c.version {
		copied := *res
		copied.Patients = []string{"ada"}
		return &copied, nil
	}
	return res, err
}
