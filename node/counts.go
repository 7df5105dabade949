package node

import (
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"weft"
	"weft/backup"
	"weft/records"
)

// counts is what the node counts of its work. No label names a product, a
// subject or anything else of which there may be many.
type counts struct {
	questions       *prometheus.CounterVec
	questionSeconds prometheus.Histogram
	firstSeconds    prometheus.Histogram
	rows, bytes     prometheus.Counter

	loads       *prometheus.CounterVec
	loadSeconds prometheus.Histogram
	loadRows    prometheus.Counter

	reloads *prometheus.CounterVec

	backups                     *prometheus.CounterVec
	backupSeconds, backupCopied prometheus.Gauge
	backupTime                  prometheus.Gauge
}

// newCounts registers the node's figures, and those of the process.
func newCounts(r *prometheus.Registry, version string) *counts {
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	f := promauto.With(r)
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "weft_build_info", Help: "Always 1; the labels say which program runs.",
		ConstLabels: prometheus.Labels{"version": version, "goversion": runtime.Version()},
	}, func() float64 { return 1 })
	counter := func(name, help string) prometheus.Counter {
		return f.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return f.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	}
	by := func(label, name, help string) *prometheus.CounterVec {
		return f.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
	}
	seconds := func(name, help string, least, factor float64, n int) prometheus.Histogram {
		return f.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: prometheus.ExponentialBuckets(least, factor, n)})
	}
	return &counts{
		questions:       by("outcome", "weft_questions_total", "Questions by outcome: ok, unread (the reader left), or the kind of the error."),
		questionSeconds: seconds("weft_question_duration_seconds", "Time of a question from its arrival to its last row.", 0.001, 3, 12),
		firstSeconds:    seconds("weft_question_first_row_seconds", "Time of a question until its rows begin.", 0.001, 3, 12),
		rows:            counter("weft_question_rows_total", "Rows that questions were answered with."),
		bytes:           counter("weft_question_bytes_total", "Bytes of these rows in memory, before they are encoded for the reader."),
		loads:           by("outcome", "weft_loads_total", "Loads by outcome: committed, unchanged, refused, failed."),
		loadSeconds:     seconds("weft_load_duration_seconds", "Time of a load.", 0.01, 3, 12),
		loadRows:        counter("weft_load_rows_total", "Rows that loads read from sources."),
		backups:         by("outcome", "weft_backups_total", "Backups by outcome: ok, or the kind of the error."),
		backupSeconds:   gauge("weft_backup_last_duration_seconds", "Time that the last good backup took."),
		backupCopied:    gauge("weft_backup_last_copied_bytes", "Bytes that the last good backup copied."),
		backupTime:      gauge("weft_backup_last_success_timestamp_seconds", "When the last good backup of this process ended; 0 before the first."),
		reloads:         by("outcome", "weft_reloads_total", "Reloads of the configuration by outcome: ok, or the kind of the error."),
	}
}

// load counts one attempt to load.
func (c *counts) load(a records.Attempt) {
	c.loads.WithLabelValues(string(a.Outcome)).Inc()
	c.loadSeconds.Observe(a.Ended.Sub(a.Started).Seconds())
	c.loadRows.Add(float64(a.Rows))
}

// question counts one question that has ended.
func (c *counts) question(outcome string, took, first time.Duration, rows, bytes int64) {
	c.questions.WithLabelValues(outcome).Inc()
	c.questionSeconds.Observe(took.Seconds())
	if first > 0 {
		c.firstSeconds.Observe(first.Seconds())
	}
	c.rows.Add(float64(rows))
	c.bytes.Add(float64(bytes))
}

// backup counts one backup.
func (c *counts) backup(took time.Duration, s *backup.State, err error, now time.Time) {
	c.backups.WithLabelValues(outcomeOf(err)).Inc()
	if err == nil {
		c.backupSeconds.Set(took.Seconds())
		c.backupCopied.Set(float64(s.Copied))
		c.backupTime.Set(float64(now.Unix()))
	}
}

// outcomeOf is the label of how something ended.
func outcomeOf(err error) string {
	if err == nil {
		return "ok"
	}
	return string(weft.KindOf(err))
}
