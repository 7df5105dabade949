package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"weft/store"
)

const (
	sustainedRate = 50_000 // changed rows a second
	sustainedPart = 1000   // of them in one commit
)

// benchSustained changes a table at a steady rate while it is folded, and asks
// it all the while. The backlog is what is in no file yet.
func benchSustained(ctx context.Context, o options, r *report) error {
	l, err := openLevels(ctx, o, "sustained", o.rows, func(c *store.Config) { c.KeepBytes = 2 << 30 })
	if err != nil {
		return err
	}
	defer l.close()
	if err := l.s.Hold("base", 1); err != nil { // it is asked to the end, however long that takes
		return err
	}
	folding, stop := context.WithCancel(ctx)
	folded := make(chan error, 1)
	go func() { folded <- l.s.Run(folding) }()
	asked := make(chan error, 1)
	answers := map[string]*[2]sample{}
	go func() { asked <- l.askAlways(folding, answers) }()
	began := time.Now()
	var behind time.Duration
	var backlog []sample
	for i := 0; time.Since(began) < o.sustained; i++ {
		due := began.Add(time.Duration(i) * time.Second * sustainedPart / sustainedRate)
		if d := time.Until(due); d > 0 {
			select {
			case <-ctx.Done():
				stop()
				return ctx.Err()
			case <-time.After(d):
			}
		} else {
			behind = max(behind, -d)
		}
		if err := l.change(ctx, sustainedPart); err != nil {
			stop()
			return err
		}
		for int(time.Since(began)*4/o.sustained) >= len(backlog) {
			backlog = append(backlog, nil)
		}
		q := len(backlog) - 1
		waiting, _ := l.s.TailSize()
		backlog[q] = append(backlog[q], float64(waiting))
	}
	rate := float64(l.s.Head().Seq-1) * sustainedPart / time.Since(began).Seconds()
	stop()
	if err := <-folded; err != nil {
		return err
	}
	if err := <-asked; err != nil {
		return err
	}
	first, last := backlog[min(1, len(backlog)-1)].sorted(), backlog[min(3, len(backlog)-1)].sorted()
	peak := last[len(last)-1] / first[len(first)-1]
	r.add(line{
		what: fmt.Sprintf("%d changed rows a second for %v, keyed %d rows", sustainedRate, o.sustained, o.rows), weft: fmt.Sprintf("%.0f a second", rate),
		yard: fmt.Sprintf("at most %v behind", behind.Round(time.Millisecond)), figure: fmt.Sprintf("%.0f a second", rate),
		asked: "≥ 50,000 (10m in the nightly run)", kept: rate >= 0.99*sustainedRate, measured: true,
	})
	r.add(line{
		what: fmt.Sprintf("its backlog: most rows in no file, last quarter of the %v beside the second", o.sustained), weft: fmt.Sprintf("%.0f", last[len(last)-1]),
		yard: fmt.Sprintf("second quarter: %.0f", first[len(first)-1]), figure: fmt.Sprintf("%.2f ×", peak),
		asked: "constant (≤ 1.5 ×)", kept: peak <= 1.5, measured: true,
	})
	for _, q := range levelQuestions {
		a := answers[q.what]
		if a == nil {
			return fmt.Errorf("nothing was asked in %v", o.sustained)
		}
		x := ratios(a[0], a[1]).median()
		r.add(line{
			what: fmt.Sprintf("meanwhile, %d times in %v: %s", len(a[0]), o.sustained, q.what), weft: a[0].seconds(), yard: "the first commit, held by name: " + a[1].seconds(), figure: fmt.Sprintf("%.2f ×", x),
			asked: fmt.Sprintf("≤ %.0f ×", q.most), kept: x <= q.most, measured: true,
		})
	}
	return nil
}

// askAlways asks the questions in turn until ctx ends, of the head and of the
// base, which is held by name.
func (l *levels) askAlways(ctx context.Context, answers map[string]*[2]sample) error {
	for ctx.Err() == nil {
		err := l.compare(ctx, 1, func(what string, _ float64, ours, theirs sample) {
			if answers[what] == nil {
				answers[what] = &[2]sample{}
			}
			a := answers[what]
			a[0], a[1] = append(a[0], ours...), append(a[1], theirs...)
		})
		if err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(300 * time.Millisecond):
		}
	}
	fmt.Fprintln(os.Stderr, "  asked", len(answers[levelQuestions[0].what][0]), "times")
	return nil
}
