package embedded

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
)

// names gives type and parameter names the numbers that stand for them in
// keys. Numbers start at 1 and never change; there are some hundred names, all
// kept in memory.
type names struct {
	db    *pebble.DB
	table byte
	sync  *pebble.WriteOptions

	adding sync.Mutex
	known  atomic.Pointer[nameTable]
}

type nameTable struct {
	numbers map[string]uint16
	names   []string // by number; names[0] is ""
}

func loadNames(db *pebble.DB, table byte, sync *pebble.WriteOptions) (*names, error) {
	n := &names{db: db, table: table, sync: sync}
	known := &nameTable{numbers: map[string]uint16{}, names: []string{""}}
	it, err := db.NewIter(&pebble.IterOptions{LowerBound: []byte{table}, UpperBound: []byte{table + 1}})
	if err != nil {
		return nil, err
	}
	for it.First(); it.Valid(); it.Next() {
		if len(it.Value()) != 2 {
			return nil, errors.Join(errRow, it.Close())
		}
		known.numbers[string(it.Key()[1:])] = binary.BigEndian.Uint16(it.Value())
	}
	if err := it.Close(); err != nil {
		return nil, err
	}
	known.names = make([]string, len(known.numbers)+1)
	for name, number := range known.numbers {
		if int(number) >= len(known.names) || number == 0 || known.names[number] != "" {
			return nil, fmt.Errorf("%w: number %d of table %q", errRow, number, table)
		}
		known.names[number] = name
	}
	n.known.Store(known)
	return n, nil
}

// number returns a name's number, if it has one.
func (n *names) number(name string) (uint16, bool) {
	number, ok := n.known.Load().numbers[name]
	return number, ok
}

// name returns the name that has a number.
func (n *names) name(number uint16) string {
	known := n.known.Load().names
	if int(number) >= len(known) {
		return ""
	}
	return known[number]
}

// sorted returns all names in order.
func (n *names) sorted() []string {
	return slices.Sorted(maps.Keys(n.known.Load().numbers))
}

// add returns a name's number and gives it one if need be, durably, before any
// row uses it.
func (n *names) add(name string) (uint16, error) {
	if number, ok := n.number(name); ok {
		return number, nil
	}
	n.adding.Lock()
	defer n.adding.Unlock()
	old := n.known.Load()
	if number, ok := old.numbers[name]; ok {
		return number, nil
	}
	if len(old.names) > 0xFFFF {
		return 0, fmt.Errorf("more than %d names in table %q", 0xFFFF, n.table)
	}
	number := uint16(len(old.names))
	if err := n.db.Set(append([]byte{n.table}, name...), append16(nil, number), n.sync); err != nil {
		return 0, err
	}
	known := &nameTable{numbers: maps.Clone(old.numbers), names: append(slices.Clone(old.names), name)}
	known.numbers[name] = number
	n.known.Store(known)
	return number, nil
}
