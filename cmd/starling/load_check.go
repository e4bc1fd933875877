package main

import (
	"context"
	"errors"

	"github.com/starling-fhir/starling/fhir"
	"github.com/starling-fhir/starling/fhir/resource"
)

// checker handles parcels of a dry run: it decodes and validates.
type checker struct {
	gate   *resource.Gate
	report *report
}

// handle checks every resource of a parcel.
func (c *checker) handle(ctx context.Context, p *parcel) error {
	for _, doc := range p.docs {
		if ctx.Err() != nil {
			return nil
		}
		at := item{file: doc.file, line: doc.line, entry: -1}
		node, err := resource.Decode(doc.data)
		switch {
		case err != nil:
			c.report.reject(rejectionOf(at, 0, err))
		case p.class == plainResource:
			at.node = node
			c.check(at)
		default:
			for i, entry := range node.List("entry") {
				if inner := entry.Get("resource"); inner != nil {
					at.entry, at.node = i, inner
					c.check(at)
				}
			}
		}
	}
	return nil
}

func (c *checker) check(it item) {
	if err := c.gate.Check(it.node); err != nil {
		c.report.reject(rejectionOf(it, 0, err))
		return
	}
	c.report.stored(1)
}

// rejectionOf makes the report of an item that was not stored because of err.
func rejectionOf(it item, status int, err error) rejection {
	r := rejection{File: it.file, Line: it.line, Status: status, Reason: err.Error(), Resources: 1}
	if it.entry >= 0 {
		r.Entry = &it.entry
	}
	if it.node != nil {
		r.Resource = it.name()
	}
	var known *fhir.Error
	if errors.As(err, &known) && len(known.Issues) > 0 {
		r.Expression = known.Issues[0].Expression
	}
	return r
}
