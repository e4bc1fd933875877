// Package embedded is the default store: one folder, no server, kept in
// github.com/cockroachdb/pebble. Start with [Open], [Store.Write] and
// [Store.Search].
//
// # Time
//
// Every Write that changes something gets the next logical time t, one number
// for all its changes, and a lastUpdated that never runs backwards. A search
// picks the newest durable t and sees exactly what held then; so does every
// further page of it, since its cursor carries t. Nothing is visible, nor
// acknowledged, before it is durable.
//
// # Tables
//
// The first byte of a key names its table. Documents are numbered in the order
// they were first written; types and parameters have numbers too. doc, t, ms
// and version are 6 bytes, big endian; type and param 2.
//
//	m name                               state, cursor secret, index hash, definitions, sweep mark, copy mark
//	y type name                       -> type
//	p parameter name                  -> param
//	c type                            -> number of living resources
//	k type id                         -> doc, newest version, deleted?, oldest version if not 1
//	v doc ^version                    -> t, updated, type, id, method, patients, body without stamps
//	h type ms id 0 version            -> doc, t                      history in contract order
//	r type patient ms id 0 version    -> doc, t                      the same, of one patient's record
//	f doc ^t                          -> all index entries of the version of time t, each with its own from
//	x type param value doc from       -> "" or to                    the inverted index
//	q to                              -> ms, keys of f and x superseded at time to
//
// An index entry holds at t if from <= t < to. So a search needs no look-up
// per hit to know whether the hit is current, an update writes only the
// entries that differ, and what old snapshots still need is simply still
// there. Values are escaped and terminated so that they sort as they are; all
// rows of one value are in document order, which makes AND a merge join of
// ordered streams. Param 0 holds one empty entry per living resource.
//
// The sweeper removes superseded rows once no cursor can need them: when they
// are older than the page lifetime.
//
// # Writes
//
// Everything costly (checks, encoding, the difference to the version before)
// happens before the serial section, which checks the preconditions at the
// newest t and hands one batch to pebble. Waiting for the disk is outside it,
// so parallel writers share one sync.
package embedded
