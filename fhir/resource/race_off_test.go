//go:build !race

package resource_test

// All examples are run.
const everyNth = 1
