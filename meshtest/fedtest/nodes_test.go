package fedtest

import (
	"os"
	"testing"
	"time"

	"weft/engine"
)

func TestMain(m *testing.M) {
	if engine.IsWorker() {
		os.Exit(engine.Work())
	}
	dir, err := os.MkdirTemp("", "fedtest")
	if err != nil {
		panic(err)
	}
	made = dir
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// made is the folder of what is made once for all tests.
var made string

// tpchScale is that of the tables that the tests ask about.
const tpchScale = 0.01

// tpch holds the answers to the 22 questions, laid out in one way, against one engine
// over the same rows.
func tpch(t *testing.T, m Asked, s TPCHSplit, data string) {
	t.Helper()
	d := direct(t)
	if err := DefineTPCH(t.Context(), d, data); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	var all []Product
	for _, domain := range s.Domains {
		for _, p := range s.Products(domain, data) {
			m.Publish(p)
			all = append(all, p)
		}
	}
	m.Heard(Asker, all...)
	t.Logf("published in %s", time.Since(began).Round(time.Millisecond))
	for _, q := range TPCHQueries() {
		began := time.Now()
		got, err := m.Ask(t.Context(), Asker, s.SQL(q, tpchScale))
		if err != nil {
			t.Errorf("%s: %v", q.Name, err)
			continue
		}
		t.Logf("%s in %s", q.Name, time.Since(began).Round(time.Millisecond))
		if diff := Diff(got, answer(t, d, q.Plain(tpchScale))); diff != "" {
			t.Errorf("%s: %s", q.Name, diff)
		}
	}
}

// tpchData makes the tables.
func tpchData(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("makes the tables of TPC-H")
	}
	data, err := TPCHData(t.Context(), made, tpchScale)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestTPCHAtOneNode asks a node that has all products itself.
func TestTPCHAtOneNode(t *testing.T) {
	data := tpchData(t)
	tpch(t, NewAlone(t), TPCHSplits()[0], data)
}
