package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"weft"
	"weft/peer"
	"weft/receipt"
	"weft/serve"
	"weft/serve/client"
)

func (a *app) receiptCommand() *cobra.Command {
	return group("receipt", "Verify the signed proof of an answer", a.receiptVerifyCommand())
}

// verifyFlags are the flags of weft receipt verify.
type verifyFlags struct {
	format          *choice
	keys, sql, file string
	past            bool
}

func (a *app) receiptVerifyCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "verify RECEIPT [RESULT]",
		Short: "Verify the signed proof of an answer, offline",
		Long: `Verify a receipt that weft query --receipt wrote: who answered and who gave the
rows, that each was admitted to the domains that it spoke for, which states of which
products were read, under which contracts and restrictions, and, where RESULT is
given, that it is the answer to the byte. It needs no node and no network.

Whom to trust stands in a file that weft mesh keys writes at a node of the mesh: send
it along once. Without --keys the folder of the node here says it (this folder or one
above). Of a node that is in no mesh it is the node's own key.

Exit code 1 means that the receipt is not valid: a byte of it or of the result is
another, or somebody signed it who is not known to be who it says.`,
		Example: `  weft query "SELECT * FROM sales.orders" --output orders.csv --receipt orders.receipt.json
  weft receipt verify orders.receipt.json orders.csv
  weft receipt verify orders.receipt.json orders.csv --keys acme-keys.json --sql "SELECT * FROM sales.orders"`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 2 {
				return nil
			}
			return exactly("RECEIPT")(cmd, args)
		},
	}
	f := &verifyFlags{}
	f.format = listFormat(c.Flags(), "text", "json")
	c.Flags().StringVar(&f.keys, "keys", "", "the keys to trust, as weft mesh keys writes them (default those of the node of this folder)")
	c.Flags().StringVar(&f.sql, "sql", "", "the question, to prove that it is the one that was asked")
	c.Flags().StringVarP(&f.file, "file", "f", "", "read the question from a file")
	c.Flags().BoolVar(&f.past, "past", false, "take the word of keys that were revoked since, for what they state to be older")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		check, done, err := a.check(cmd, args, f)
		if err != nil {
			return err
		}
		defer done()
		raw, err := readBounded(args[0], receipt.MaxReceipt)
		if err != nil {
			return weft.Errorf(weft.KindInvalid, "read the receipt", args[0], "%w", err)
		}
		rep, err := receipt.Verify(raw, check)
		if err != nil && !receipt.IsInvalid(err) {
			return err
		}
		return a.printReceipt(f.format.value, rep, err)
	}
	return c
}

// check is what the receipt is held against; done closes the result.
func (a *app) check(cmd *cobra.Command, args []string, f *verifyFlags) (c receipt.Check, done func(), err error) {
	c.Past, done = f.past, func() {}
	if c.Keys, err = trusted(f.keys); err != nil {
		return c, done, err
	}
	if cmd.Flags().Changed("sql") || f.file != "" {
		words := []string{f.sql}
		if !cmd.Flags().Changed("sql") {
			words = nil
		}
		sql, err := a.sqlText(words, f.file)
		if err != nil {
			return c, done, err
		}
		c.SQL = &sql
	}
	if len(args) < 2 {
		return c, done, nil
	}
	file, err := os.Open(args[1])
	if err != nil {
		return c, done, weft.Errorf(weft.KindInvalid, "read the result", args[1], "%w", err)
	}
	c.Result = file
	return c, func() { _ = file.Close() }, nil
}

// trusted are the keys of a file, or those of the node whose folder is here.
func trusted(path string) (receipt.Keys, error) {
	if path != "" {
		b, err := readBounded(path, receipt.MaxKeys)
		if err != nil {
			return receipt.Keys{}, weft.Errorf(weft.KindInvalid, "read the keys", path, "%w", err)
		}
		return receipt.ReadKeys(b)
	}
	at, err := os.Getwd()
	if err != nil {
		return receipt.Keys{}, weft.Errorf(weft.KindUnavailable, "find the keys", "", "%w", err)
	}
	for {
		data := filepath.Join(at, dataFolder)
		if s, faults := loadSettings(at, noFlags(), environment{}); len(faults) == 0 && s.from["data"] != "" {
			data = resolve(at, s.Data)
		}
		if _, err := os.Stat(filepath.Join(data, "mesh")); err == nil {
			mesh, charter, node, err := peer.Anchor(filepath.Join(data, "mesh"))
			if err != nil {
				return receipt.Keys{}, err
			}
			if mesh == (weft.Hash{}) {
				return receipt.Keys{Format: 1, Node: node}, nil
			}
			return receipt.Keys{Format: 1, Mesh: mesh, Records: [][]byte{charter}}, nil
		}
		up := filepath.Dir(at)
		if up == at {
			return receipt.Keys{}, nil
		}
		at = up
	}
}

// verification is weft receipt verify as JSON.
type verification struct {
	Valid  bool   `json:"valid"`
	Reason string `json:"reason,omitempty"` // why it is not
	*receipt.Report
}

// printReceipt says what was proved and what not; not valid is the answer no.
func (a *app) printReceipt(format string, rep *receipt.Report, invalid error) error {
	v := verification{Valid: invalid == nil, Report: rep}
	var e *weft.Error
	if errors.As(invalid, &e) {
		v.Reason = reason(e)
	}
	if format == "json" {
		if err := a.printJSON(v); err != nil {
			return err
		}
	} else if invalid != nil {
		a.out.indent(a.out.paint(red, "✗")+" ", "the receipt is not valid: "+v.Reason, bold)
		if hint := weft.HintOf(invalid); hint != "" {
			a.out.indent("→ ", clean(hint), cyan)
		}
	} else {
		a.out.println(a.out.paint(green, "✓") + " " + a.out.paint(bold, "the receipt is valid"))
		for _, part := range []struct {
			title string
			list  []receipt.Statement
		}{{"proved", rep.Proved}, {"not proved", rep.Unproved}} {
			if len(part.list) == 0 {
				continue
			}
			a.out.println(a.out.paint(bold, part.title))
			var pairs []pair
			for _, s := range part.list {
				pairs = append(pairs, pair{"  " + clean(s.About), s.Text, plain})
			}
			printPairs(a.out, pairs)
		}
		if len(rep.Receipt.Reads) > 0 {
			a.out.indent("→ ", "the same question has the same answer with --at "+rep.Receipt.Cut().Token(), cyan)
		}
	}
	if invalid != nil {
		return no()
	}
	return nil
}

func (a *app) meshKeysCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "keys",
		Short: "Print what receipts are verified with",
		Long: `Print the mesh's public keys as one file: the charter, who has which domain, which
nodes were admitted, which took new keys and which were revoked, each as it was signed.
There is no secret in it. Whoever has the file, from somebody they trust, verifies
receipts of the mesh without a node: weft receipt verify --keys FILE. A newer file
knows of newer nodes and of revocations.

Of a node that is in no mesh it is the node's own public key.`,
		Example: `  weft mesh keys > acme-keys.json`,
		Args:    exactly(),
	}
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		cl, err := a.connect()
		if err != nil {
			return err
		}
		keys, err := cl.MeshKeys(cmd.Context())
		if err != nil {
			return err
		}
		return a.printJSON(keys)
	}
	return c
}

// queryWithReceipt asks, writes the answer's bytes as the node sends them, and then the
// receipt of exactly these. Where there is no receipt, no file of the answer is left.
func (a *app) queryWithReceipt(ctx context.Context, sql string, f *queryFlags) error {
	if f.quote {
		return usage("ask the query", "", "--quote runs nothing that could be signed").WithHint("leave out --receipt, or --quote")
	}
	format, err := a.pickFormat(f)
	if err != nil {
		return err
	}
	if format == serve.FormatTable && f.output != "" {
		return usage("write the answer", f.output, "a receipt is of bytes that the node sent, and tables are drawn here").
			WithHint("write it as csv, ndjson, json, arrow or parquet")
	}
	if err := a.notForTerminal(format, f); err != nil {
		return err
	}
	cl, err := a.connect()
	if err != nil {
		return err
	}
	q := f.request(sql)
	q.Receipt = true
	take := &taking{app: a, client: cl, format: format, start: time.Now(), sql: sql}
	if f.output != "" {
		err = writeFile(f.output, func(w io.Writer) error { return take.answer(ctx, q, w) })
	} else {
		err = take.answer(ctx, q, a.out)
	}
	if err != nil {
		return err
	}
	a.printGave(take.seen, f.quiet)
	if err := writeFile(f.receipt, func(w io.Writer) error { _, err := w.Write(take.receipt); return err }); err != nil {
		return err
	}
	if f.quiet {
		return nil
	}
	if format != serve.FormatTable {
		printFooter(a.err, take.seen, take.rows, time.Since(take.start))
	}
	words := "signed: weft receipt verify " + f.receipt
	if f.output != "" {
		words += " " + f.output
	} else if format == serve.FormatTable {
		words += " (the rows shown are those that were signed; keep them with --output to hold them against it again)"
	}
	a.err.println(words)
	return nil
}

// taking is an answer that is taken with its receipt.
type taking struct {
	*app
	client  *client.Client
	format  serve.Format
	start   time.Time
	sql     string
	seen    *weft.Answer // cut and rows held back
	rows    int64
	receipt []byte
}

// answer writes the answer and fetches its receipt, which must be of these bytes.
func (t *taking) answer(ctx context.Context, q serve.QueryRequest, w io.Writer) error {
	wire := t.format
	if wire == serve.FormatTable {
		wire = serve.FormatArrow
	}
	s, err := t.client.QueryAs(ctx, q, wire)
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	sum := sha256.New()
	if wire == t.format {
		if _, err = io.Copy(io.MultiWriter(w, sum), s); err != nil {
			var known *weft.Error
			if !errors.As(err, &known) {
				err = weft.Errorf(weft.KindUnavailable, "write the answer", "", "%w", err)
			}
			return err
		}
		t.rows = s.Rows()
	} else {
		ans, err := s.Answer(sum)
		if err != nil {
			return err
		}
		defer func() { _ = ans.Close() }()
		if t.rows, err = t.encode(w, t.format, ans, t.start); err != nil {
			return err
		}
	}
	if t.receipt, err = t.client.Receipt(ctx, s.Request); err != nil {
		return err
	}
	r, err := receipt.Open(t.receipt)
	if err == nil {
		err = r.Matches(t.sql, weft.Hash(sum.Sum(nil)))
	}
	if err != nil {
		return weft.Errorf(weft.KindUnavailable, "take the receipt", "", "%w", err).WithHint("the node may be of another version than this program")
	}
	t.seen = &weft.Answer{Cut: r.Cut(), Held: s.Held, Parts: s.Parts, Warnings: s.Warnings}
	return nil
}
