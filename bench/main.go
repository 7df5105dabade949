// Command bench measures Weft against named yardsticks in one run, interleaved,
// and writes the figures to a page: machine, versions, medians, spread, losses.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"weft/engine"
)

func main() {
	if engine.IsWorker() {
		os.Exit(engine.Work())
	}
	if err := measure(); err != nil {
		log.Fatal("bench: ", err)
	}
}

// options are what the command line sets.
type options struct {
	bin    string // the program under test
	dir    string // folder for data, kept between runs
	rows   int64  // of the large table
	rounds int
	plans  string
	cards  int     // of the catalogue
	scale  float64 // of TPC-H's tables
	backup int     // gigabytes of the product that is backed up
	cold   bool    // measure a cold build
	// sustained is how long the run at a steady rate takes.
	sustained time.Duration
	only      string // the one measurement to make, all where it is empty
}

func measure() error {
	var o options
	out := flag.String("out", "", "the page to write; without it bench/README.md, or none where one measurement is made alone")
	flag.StringVar(&o.bin, "bin", "bin/weft", "the program under test")
	flag.StringVar(&o.dir, "dir", "bench/out", "folder for generated data")
	flag.Int64Var(&o.rows, "rows", 5_000_000, "rows of the large table")
	flag.StringVar(&o.plans, "plans", "", "folder for how each question of TPC-H was answered, with what was measured")
	flag.IntVar(&o.rounds, "rounds", 5, "rounds of each measurement")
	flag.IntVar(&o.backup, "backup", 1, "gigabytes of the product that is backed up")
	flag.IntVar(&o.cards, "cards", fullCards, "cards of the catalogue that is searched")
	flag.Float64Var(&o.scale, "scale", 1, "scale factor of TPC-H's tables")
	flag.BoolVar(&o.cold, "cold", true, "measure a build with an empty cache, too")
	flag.DurationVar(&o.sustained, "sustained", 30*time.Second, "length of the run at a steady rate of changes; what is asked is 10m")
	flag.StringVar(&o.only, "only", "", "make this measurement alone: load, gate, verify, backup, start, demo, build, commits, many, tail, fold, mesh, sustained, search, tpch, pull")
	strict := flag.Bool("strict", false, "fail where a figure does not keep what is asked")
	flag.Parse()
	for _, p := range []*string{&o.bin, &o.dir} {
		abs, err := filepath.Abs(*p)
		if err != nil {
			return err
		}
		*p = abs
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := os.MkdirAll(o.dir, 0o755); err != nil {
		return err
	}
	r := &report{options: o}
	for _, m := range []struct {
		name string
		f    func(context.Context, options, *report) error
	}{
		{"load", benchLoad},
		{"gate", benchGate},
		{"verify", benchVerify},
		{"backup", benchBackup},
		{"start", benchStart},
		{"demo", benchDemo},
		{"build", benchBuild},
		{"commits", benchCommits},
		{"many", benchMany},
		{"tail", benchTailReads},
		{"fold", benchFold},
		{"mesh", benchMesh},
		{"sustained", benchSustained},
		{"search", benchSearch},
		{"tpch", benchTPCH},
		{"pull", benchPull},
	} {
		if o.only != "" && o.only != m.name {
			continue
		}
		fmt.Fprintln(os.Stderr, "measuring", m.name)
		if err := m.f(ctx, o, r); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
	}
	fmt.Print(r.String())
	if *strict {
		for _, l := range r.lines {
			if l.measured && !l.kept {
				return fmt.Errorf("%s: %s, asked %s", l.what, l.figure, l.asked)
			}
		}
	}
	page := *out
	if page == "" {
		if o.only != "" {
			return nil // a page of one measurement is not the page
		}
		page = "bench/README.md"
	}
	return os.WriteFile(page, []byte(r.String()), 0o644)
}
