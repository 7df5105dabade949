package serve

import (
	"io"
	"testing"
)

func BenchmarkEncode(b *testing.B) {
	s, recs := numbers(1_000_000, 100_000)
	for _, f := range append(Formats(), FormatTable) {
		b.Run(string(f), func(b *testing.B) {
			for b.Loop() {
				if _, err := Encode(io.Discard, f, answerOf(s, recs...)); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(1e6*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
