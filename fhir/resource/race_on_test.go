//go:build race

package resource_test

// Under the race detector one example in so many is run.
const everyNth = 20
