//go:build race

package search

// raceEnabled says that the race detector slows the tests down.
const raceEnabled = true
