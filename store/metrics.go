package store

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"weft"
)

// Metrics is what the stores of one process count together; no product has
// figures of its own, since there may be thousands. Safe for concurrent use.
type Metrics struct {
	commits       *prometheus.CounterVec
	commitSeconds prometheus.Histogram
	syncSeconds   prometheus.Histogram
	folds         *prometheus.CounterVec
	foldSeconds   prometheus.Histogram
}

// NewMetrics registers the figures with r, once for each registry; nil counts
// for nobody.
func NewMetrics(r prometheus.Registerer) *Metrics {
	f := promauto.With(r)
	return &Metrics{
		commits: f.NewCounterVec(prometheus.CounterOpts{
			Name: "weft_commits_total", Help: "Commits by outcome: ok, or the kind of the error.",
		}, []string{"outcome"}),
		commitSeconds: f.NewHistogram(prometheus.HistogramOpts{
			Name: "weft_commit_duration_seconds", Help: "Time of a commit until it is durable.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2.5, 12), // 0.5 ms to 12 s
		}),
		syncSeconds: f.NewHistogram(prometheus.HistogramOpts{
			Name: "weft_fsync_duration_seconds", Help: "Time of one fsync of a file of the store.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2.5, 12), // 0.1 ms to 2.4 s
		}),
		folds: f.NewCounterVec(prometheus.CounterOpts{
			Name: "weft_folds_total", Help: "Compactions by outcome: ok, or the kind of the error.",
		}, []string{"outcome"}),
		foldSeconds: f.NewHistogram(prometheus.HistogramOpts{
			Name: "weft_fold_duration_seconds", Help: "Time of one compaction.",
			Buckets: prometheus.ExponentialBuckets(0.01, 3, 10), // 10 ms to 200 s
		}),
	}
}

// Outcome is the label of how something ended: ok, or the kind of err.
func outcome(err error) string {
	if err == nil {
		return "ok"
	}
	return string(weft.KindOf(err))
}

// committed counts one commit and writes its line: what was committed, by whom
// the context says. It is deferred by Append.
func (s *Store) committed(ctx context.Context, began time.Time, c *weft.Commit, err *error) {
	took := time.Since(began)
	s.cfg.Metrics.commits.WithLabelValues(outcome(*err)).Inc()
	if *err != nil {
		return // whoever asked for the commit says what went wrong
	}
	s.cfg.Metrics.commitSeconds.Observe(took.Seconds())
	s.cfg.Env.Log.InfoContext(ctx, "commit", slog.String("product", c.Product.String()), slog.Uint64("seq", uint64(c.Seq)),
		slog.String("hash", c.Hash.String()), slog.String("cause", string(c.Cause)), slog.Float64("ms", float64(took.Microseconds())/1000))
}

// folded counts one compaction. It is deferred by Compact.
func (s *Store) folded(began time.Time, err *error) {
	s.cfg.Metrics.folds.WithLabelValues(outcome(*err)).Inc()
	if *err == nil {
		s.cfg.Metrics.foldSeconds.Observe(time.Since(began).Seconds())
	}
}

// timedDisk is the disk with a clock on every sync of a file.
type timedDisk struct {
	disk
	seconds prometheus.Histogram
}

func (d timedDisk) Open(path string, flag int) (file, error) {
	f, err := d.disk.Open(path, flag)
	if err != nil {
		return nil, err
	}
	return timedFile{f, d.seconds}, nil
}

type timedFile struct {
	file
	seconds prometheus.Histogram
}

func (f timedFile) Sync() error {
	began := time.Now()
	err := f.file.Sync()
	f.seconds.Observe(time.Since(began).Seconds())
	return err
}
