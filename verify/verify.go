package verify

import (
	"context"
	"slices"
	"time"

	"weft"
	"weft/contract"
	"weft/engine"
	"weft/store"
)

// Request is one candidate: all tables that a commit would change.
type Request struct {
	Product weft.Name
	Tables  []Candidate
	Stage   string    // folder for the Parquet files that a quarantine splits the rows into
	Now     time.Time // what now() means in quality queries
}

// Candidate is one table of a candidate: an output table, or an input table
// (Staged.Port is set), which is held against the contract of its source.
type Candidate struct {
	Table  *contract.Table
	Staged store.Staged
	// Mode says what the rows are where Staged.Full is not set: append or upsert.
	// An upsert's rows are unique by key; transform.Latest has seen to that.
	Mode contract.Mode
	// Prior is the table's state before, nil where there is none. The session
	// must be able to read its files.
	Prior *store.Relation
}

// label names the candidate in evidence and errors: an input table with its port.
func (c *Candidate) label() string {
	if c.Staged.Port != "" {
		return c.Staged.Port + "." + c.Table.Name
	}
	return c.Table.Name
}

// Outcome is what verification came to.
type Outcome struct {
	Pass    bool
	Verdict weft.Verdict
	// Tables are the rows to publish, in the order of the request: the staged
	// ones, or new files without the rows that are held back.
	Tables []store.Staged
	// Quarantine has the rows held back, for the hidden table
	// store.QuarantineTable, in which the column "table" names an input table with
	// its port, reason all rules that a row breaks, place its key or where it stood
	// in the source, and row is JSON with the values as text. Nil where there are
	// none.
	Quarantine *store.Staged
	// Refusal says why nothing may be published, nil when Pass is set. It is of
	// KindContract and names rules, counts and a few keys, but never a value of
	// a classified column.
	Refusal *weft.Error
}

// Check holds every table of r against its contract. The error is about the
// checking itself (the session died, the deadline passed); data that breaks the
// contract is an Outcome with Pass unset.
func Check(ctx context.Context, s engine.Session, r Request) (*Outcome, error) {
	j := &job{session: s, request: r}
	out := &Outcome{Pass: true}
	for i := range r.Tables {
		t := newTable(j, &r.Tables[i])
		if err := t.check(ctx); err != nil {
			return nil, err
		}
		j.tables = append(j.tables, t)
	}
	for _, t := range j.tables {
		if err := t.checkTable(ctx); err != nil {
			return nil, err
		}
		out.Verdict.Checks = append(out.Verdict.Checks, t.results...)
		out.Verdict.Quarantined += t.heldRows
		out.Tables = append(out.Tables, t.good)
	}
	refusal, err := j.refusal(ctx)
	if err != nil {
		return nil, err
	}
	if refusal != nil {
		out.Pass, out.Refusal, out.Tables, out.Verdict.Quarantined = false, refusal, nil, 0
		return out, nil
	}
	out.Verdict.Pass = true
	out.Quarantine = j.quarantine()
	return out, nil
}

// Rows holds the rows of one table against its row rules alone, however few or
// many rows there are: for tests of invented rows, of which a row count means
// nothing. It returns the good rows and the rules that others break.
func Rows(ctx context.Context, s engine.Session, t *contract.Table, rows store.Staged, stage string) (store.Staged, []weft.CheckResult, error) {
	only := *t
	only.Checks, only.OnViolation, only.QuarantineLimit = nil, contract.Quarantine, 1
	for _, k := range t.Checks {
		if k.Predicate != "" || isUnique(&k) {
			only.Checks = append(only.Checks, k)
		}
	}
	out, err := Check(ctx, s, Request{Tables: []Candidate{{Table: &only, Staged: rows}}, Stage: stage})
	if err != nil {
		return rows, nil, err
	}
	var broken []weft.CheckResult
	for _, c := range out.Verdict.Checks {
		if !c.Pass {
			broken = append(broken, c)
		}
	}
	if !out.Pass {
		return rows, broken, nil
	}
	return out.Tables[0], broken, nil
}

// job is one call of Check.
type job struct {
	session engine.Session
	request Request
	tables  []*table
}

// table is one candidate on its way through the checks.
type table struct {
	*Candidate
	job      *job
	rows     []*rule // row rules and unique rules, in the contract's order
	results  []weft.CheckResult
	good     store.Staged // what would be published
	held     string       // Parquet file of the rows held back
	heldRows int64
	over     bool // more rows are bad than the quarantine may hold
}

// rule is a row rule or a unique rule with what was counted.
type rule struct {
	contract.Check
	failed int64
	err    string
}

func (r *rule) unique() bool { return r.Predicate == "" }

func (r *rule) broken() bool { return r.failed > 0 || r.err != "" }

// acts says that rows that break the rule may not be published.
func (r *rule) acts() bool { return r.Severity == weft.SeverityError || r.Severity == "" }

func newTable(job *job, c *Candidate) *table {
	if c.Staged.Port != "" {
		c.Table = ofPort(c.Table, c.Staged.Port)
	}
	t := &table{Candidate: c, job: job, good: c.Staged}
	for _, k := range c.Table.Checks {
		if k.Predicate != "" || isUnique(&k) {
			t.rows = append(t.rows, &rule{Check: k})
		}
	}
	return t
}

// ofPort names the checks of an input table with its port, so that evidence of
// inputs and outputs has ids of its own.
func ofPort(t *contract.Table, port string) *contract.Table {
	named := *t
	named.Checks = slices.Clone(t.Checks)
	for i := range named.Checks {
		named.Checks[i].ID = port + "." + named.Checks[i].ID
	}
	return &named
}

func isUnique(k *contract.Check) bool {
	return k.Predicate == "" && k.Metric == "" && k.Query == "" && len(k.Columns) > 0
}

// check counts what breaks the row rules and splits the rows where the contract
// says quarantine.
func (t *table) check(ctx context.Context) error {
	if err := t.count(ctx); err != nil {
		return err
	}
	if t.bad() && t.Table.OnViolation == contract.Quarantine && !t.faulty() {
		if err := t.split(ctx); err != nil {
			return err
		}
	}
	return nil
}

// bad reports whether any row may not be published as it is.
func (t *table) bad() bool {
	if t.Staged.RejectRows > 0 {
		return true
	}
	for _, r := range t.rows {
		if r.acts() && r.broken() {
			return true
		}
	}
	return false
}

// faulty reports whether an acting rule could not be evaluated: no split of the
// rows is possible then.
func (t *table) faulty() bool {
	for _, r := range t.rows {
		if r.acts() && r.err != "" {
			return true
		}
	}
	return false
}
