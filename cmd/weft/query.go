package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"weft"
	"weft/serve"
)

// maxSQL is the most text of a query that is read; the node's own limit is lower
// or equal and says so properly.
const maxSQL = 1 << 20

// maxTableRows is how many rows of an answer a terminal is shown; the rest is
// counted.
const maxTableRows = 1000

// queryFlags are the flags of weft query.
type queryFlags struct {
	format   *choice
	at       string
	file     string
	output   string
	purpose  string
	deadline time.Duration
	quiet    bool
	receipt  string
	quote    bool
	partial  bool
	stale    time.Duration
}

// ask adds the flags that say what is asked.
func (f *queryFlags) ask(set *pflag.FlagSet) {
	set.StringVar(&f.at, "at", "", "read as of a time, a commit or a cut: 2025-01-31T08:00Z, sales.orders#12, cut2_…, or the name of a saved cut")
	set.StringVarP(&f.file, "file", "f", "", "read the SQL from a file")
	set.StringVar(&f.purpose, "purpose", "", "what the answer is for; kept with the question")
	set.DurationVar(&f.deadline, "deadline", 0, "end the query after this time, like 30s")
	set.BoolVar(&f.partial, "allow-partial", false, "answer without the parts that other nodes do not give, with a warning for each")
	set.DurationVar(&f.stale, "max-staleness", 0, "let a copy that this node keeps answer where it was current at most so long ago, like 5m")
}

func (a *app) queryCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "query SQL",
		Short: "Ask a SELECT over products",
		Long: `Ask one SELECT over the products that the node knows; tables are named by their
address, like operations.flights. SQL may be "-" for standard input, or in a file
with -f.

On a terminal the answer is a table, elsewhere CSV; --format says otherwise. What
the answer was read at is printed too: for the other formats on standard error, so
that standard output is the data alone. The same cut, given to --at, gives the
same rows. An answer is whole or the command fails: with --output the file appears
only when it is complete.

--quote says what the query would read and take, the budgets that it comes under and
what is left of them, and runs nothing; --format is table or json then. Where it would
be refused, the exit code is 4.`,
		Example: `  weft query "SELECT carrier, count(*) FROM operations.flights GROUP BY ALL"
  weft query -f report.sql --format parquet --output report.parquet
  weft query "SELECT count(*) FROM sales.orders" --at 2025-01-31
  echo "SELECT 1" | weft query -`,
		Args: cobra.ArbitraryArgs,
	}
	f := &queryFlags{format: &choice{words: []string{"table", "json", "ndjson", "csv", "arrow", "parquet"}}}
	set := c.Flags()
	set.Var(f.format, "format", "how the answer is written (default table on a terminal, else csv)")
	f.ask(set)
	set.StringVarP(&f.output, "output", "o", "", "write the answer to a file; the format is taken from its name")
	set.StringVar(&f.receipt, "receipt", "", "have the answer signed, and write the proof to this file: weft receipt verify")
	set.BoolVarP(&f.quiet, "quiet", "q", false, "do not print what the answer was read at")
	set.BoolVar(&f.quote, "quote", false, "only say what it takes and whether it would be let in")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		sql, err := a.sqlText(args, f.file)
		if err != nil {
			return err
		}
		if f.quote {
			return a.quote(cmd.Context(), sql, f)
		}
		if f.receipt != "" {
			return a.queryWithReceipt(cmd.Context(), sql, f)
		}
		return a.query(cmd.Context(), sql, f)
	}
	return c
}

// request is the question as the flags say it.
func (f *queryFlags) request(sql string) serve.QueryRequest {
	return serve.QueryRequest{
		SQL: sql, At: f.at, Purpose: f.purpose, Limits: serve.QueryLimits{Deadline: f.deadline.Seconds()},
		AllowPartial: f.partial, MaxStaleness: f.stale.Seconds(),
	}
}

// sqlText takes the statement from the argument, standard input or the file.
func (a *app) sqlText(args []string, file string) (string, error) {
	sql, err := a.readSQL(args, file)
	if err == nil && strings.TrimSpace(sql) == "" {
		return "", usage("read the query", "", "SQL is missing").WithHint(`give it in quotes, "SELECT …", by --file, or - for standard input`)
	}
	return sql, err
}

func (a *app) readSQL(args []string, file string) (string, error) {
	const op = "read the query"
	switch {
	case len(args) > 1:
		return "", usage(op, "", "there are %d arguments: the shell has split the SQL", len(args)).WithHint(`put it into quotes: weft query "SELECT …"`)
	case file != "" && len(args) > 0:
		return "", usage(op, "", "there is SQL as an argument and in a file").WithHint("give one of them")
	case file != "":
		b, err := readBounded(file, maxSQL)
		if err != nil {
			return "", weft.Errorf(weft.KindInvalid, op, file, "%w", err)
		}
		return string(b), nil
	case len(args) == 0:
		return "", nil
	case args[0] == "-":
		b, err := io.ReadAll(io.LimitReader(a.in, maxSQL+1))
		if err != nil {
			return "", weft.Errorf(weft.KindUnavailable, op, "standard input", "%w", err)
		}
		if len(b) > maxSQL {
			return "", weft.Errorf(weft.KindLimit, op, "standard input", "it is larger than 1 MB")
		}
		return string(b), nil
	}
	return args[0], nil
}

// pickFormat takes the format from the flag, the name of the output file, or
// what standard output is.
func (a *app) pickFormat(f *queryFlags) (serve.Format, error) {
	if f.format.value != "" {
		return serve.ParseFormat(f.format.value)
	}
	if f.output != "" {
		ext := strings.TrimPrefix(strings.ToLower(filepath.Ext(f.output)), ".")
		switch ext {
		case "txt":
			return serve.FormatTable, nil
		case "arrows", "ipc":
			return serve.FormatArrow, nil
		}
		format, err := serve.ParseFormat(ext)
		if err != nil {
			return "", usage("write the answer", f.output, "the file's name does not say the format").WithHint("give it with --format")
		}
		return format, nil
	}
	if a.out.tty {
		return serve.FormatTable, nil
	}
	return serve.FormatCSV, nil
}

// query asks and writes the answer.
func (a *app) query(ctx context.Context, sql string, f *queryFlags) error {
	format, err := a.pickFormat(f)
	if err != nil {
		return err
	}
	if err := a.notForTerminal(format, f); err != nil {
		return err
	}
	cl, err := a.connect()
	if err != nil {
		return err
	}
	start := time.Now()
	ans, err := cl.Query(ctx, f.request(sql))
	if err != nil {
		return err
	}
	defer func() { _ = ans.Close() }()
	var rows int64
	if f.output != "" {
		err = writeFile(f.output, func(w io.Writer) (err error) {
			rows, err = a.encode(w, format, ans, start)
			return err
		})
	} else {
		rows, err = a.encode(a.out, format, ans, start)
	}
	if err == nil {
		a.printGave(ans, f.quiet)
	}
	if err == nil && !f.quiet && (format != serve.FormatTable || f.output != "") {
		printFooter(a.err, ans, rows, time.Since(start))
	}
	return err
}

// notForTerminal refuses to write bytes that no terminal shows.
func (a *app) notForTerminal(format serve.Format, f *queryFlags) error {
	if a.out.tty && f.output == "" && (format == serve.FormatArrow || format == serve.FormatParquet) {
		return usage("write the answer", "", "%s is not for a terminal", format).WithHint("write it to a file with --output, or pipe it on")
	}
	return nil
}

// encode writes the answer in the format and returns the number of rows.
func (a *app) encode(w io.Writer, format serve.Format, ans *weft.Answer, start time.Time) (int64, error) {
	opt := serve.Options{Elapsed: func() time.Duration { return time.Since(start) }}
	if w == io.Writer(a.out) && a.out.tty {
		opt.Table.Width, opt.Table.MaxRows = a.out.width, maxTableRows
	}
	rows, err := serve.EncodeWith(w, format, ans, opt)
	var we *serve.WriteError
	switch {
	case errors.As(err, &we) && errors.Is(err, syscall.EPIPE):
		return rows, answerNo{exitDone} // weft query … | head has seen enough
	case errors.As(err, &we):
		return rows, weft.Errorf(weft.KindUnavailable, "write the answer", "", "%w", we.Err)
	}
	return rows, err
}

// writeFile writes a file that appears whole or not at all.
func writeFile(path string, write func(io.Writer) error) error {
	const op = "write the answer"
	tmp, err := os.CreateTemp(filepath.Dir(path), ".weft-*")
	if err != nil {
		return weft.Errorf(weft.KindUnavailable, op, path, "%w", err)
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	if err := write(tmp); err != nil {
		_ = tmp.Close()
		return err
	}
	err = tmp.Chmod(0o644)
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return weft.Errorf(weft.KindUnavailable, op, path, "%w", err)
	}
	return nil
}

// printGave says who gave what to an answer, and what is to be known of it.
func (a *app) printGave(ans *weft.Answer, quiet bool) {
	if gs := serve.WhoGave(ans); len(gs) > 0 && !quiet {
		a.err.println(gaveWords(gs))
	}
	a.printWarnings(serve.Warnings(ans))
}

// gaveWords say who gave what to an answer.
func gaveWords(gs []serve.Gave) string {
	var w []string
	for i, g := range gs {
		n := count(g.Rows)
		if i == 0 {
			n = plural(g.Rows, "row")
		}
		w = append(w, oneLine(g.Name, 60)+" "+n)
	}
	return "from " + plural(int64(len(gs)), "node") + ": " + strings.Join(w, ", ")
}

// printWarnings says what is to be known of an answer, on the stream that is not the
// data.
func (a *app) printWarnings(ws []weft.Warning) {
	for _, w := range ws {
		a.err.println(a.err.paint(yellow, "warning ("+oneLine(string(w.Kind), 20)+"): ") + oneLine(w.Message, 600))
		if w.Hint != "" {
			a.err.indent("→ ", oneLine(w.Hint, 600), cyan)
		}
	}
}

// cutWords are a cut for people, who should know where clocks have chosen it.
func cutWords(c weft.Cut) string {
	if t := c.AsOf(); !t.IsZero() {
		return c.String() + ", as of " + stamp(t) + " by each owner's clock"
	}
	return c.String()
}

// printFooter says how many rows there were and at which cut, on the stream that
// is not the data.
func printFooter(p *printer, ans *weft.Answer, rows int64, took time.Duration) {
	w := []string{plural(rows, "row")}
	if len(ans.Cut) > 0 {
		w = append(w, "cut "+cutWords(ans.Cut))
	}
	if ans.Held > 0 {
		w = append(w, plural(ans.Held, "row")+" held back in quarantine")
	}
	p.println(strings.Join(append(w, span(took)), " · "))
}
