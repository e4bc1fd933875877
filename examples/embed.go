// Package examples embeds the made-up patients and orders of this folder, so
// that the program can show them without a download. README.md tells who is
// who.
package examples

import "embed"

// Files holds patients/ (transaction bundles) and order-select/ (CDS Hooks
// requests).
//
//go:embed patients order-select
var Files embed.FS
