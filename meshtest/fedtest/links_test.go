package fedtest

import "testing"

// TestTPCH asks one node about products of four others, laid out in every way.
func TestTPCH(t *testing.T) {
	data := tpchData(t)
	for _, s := range TPCHSplits() {
		t.Run(s.Name, func(t *testing.T) {
			tpch(t, NewMesh(t, nil, append([]string{Asker}, s.Domains...)...), s, data)
		})
	}
}

// TestQuestionsOverLinks asks one node of a mesh.
func TestQuestionsOverLinks(t *testing.T) {
	if testing.Short() {
		t.Skip("starts four nodes")
	}
	ask(t, NewMesh(t, nil, spread()...), max(*questions/10, 50))
}
