package pgx

import "testing"

// TestKnowledgeIsSound looks over the knowledge the server is built with.
func TestKnowledgeIsSound(t *testing.T) {
	for _, p := range Check(Files()) {
		t.Error(p)
	}
}
