// Package mongo is the store for those who outgrow one machine: a MongoDB
// replica set, version 5.0 or later. Any number of servers may use one database.
// Start with [Open], [Store.Write] and [Store.Search].
//
// # Collections
//
// resources has one document for each resource that ever was:
//
//	_id       "Observation/123"
//	type, id, version, updated, method, size
//	t         the logical time of the version
//	raw       zstd of the bytes that are served
//	resource  the same as a native document, for people's own queries: decimals
//	          are Decimal128 where that is exact, else strings; dates are strings.
//	          It is derived from raw and never served.
//	patient   the only patient in whose compartment it is; else absent
//	patients  all of them
//	ix        the index entries (entries.go), absent of a deletion
//
// history has every version, the newest too, under "Observation/123/4". A
// version that was replaced has the logical time of that in to, and keeps a copy
// of its ix until no page sequence can need it.
//
// meta has the format, the secret of cursors and leases.
//
// # Time
//
// One document of history, the clock, orders all writes of all servers: each
// transaction begins by moving it from the logical time it saw to the next, so
// of two transactions at the same time one fails and tries again. That makes
// every transaction serial, which is what the contract asks for: lastUpdated
// never runs backwards, a search sees one moment on all its pages, polling a
// history misses nothing, and conditions hold until the commit without any
// other lock. The writes of one server that wait for each other share a
// transaction, so it is the number of transactions that the clock limits, not
// that of writes.
//
// A search reads the clock and the keys of a page in one command, hence in one
// snapshot, and then the versions it found, which never change. Further pages
// see what was current at the first page's time: resources whose t is not later,
// and of history what was replaced since.
package mongo
