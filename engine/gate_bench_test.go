package engine

import (
	"strings"
	"testing"
)

// BenchmarkBind takes a query of three subqueries through the gate of a worker.
func BenchmarkBind(b *testing.B) {
	s := testSession(b, nil)
	query := ""
	for _, q := range readBlocks(b, "testdata/gate/answers/answers.txt") {
		if strings.Contains(q, "numwait") {
			query = q
		}
	}
	for b.Loop() {
		if _, err := Bind(b.Context(), s, query, testRules); err != nil {
			b.Fatal(err)
		}
	}
}
