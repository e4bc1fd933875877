//go:build !race

package mongo

// raceEnabled says that the race detector slows the tests down.
const raceEnabled = false
