package node

import (
	"context"

	"weft"
	"weft/contract"
	"weft/engine"
	"weft/publish"
	"weft/store"
	"weft/transform"
	"weft/verify"
)

// relation is the published state of a table, nil where there is none.
func (l *load) relation(table string) *store.Relation {
	r, err := l.prior.Relation(table)
	if err != nil {
		return nil
	}
	return &r
}

// modeOf says what rows that are not the whole table are: the mode of the source
// that a pass-through has, a whole table for everything made by SQL.
func (l *load) modeOf(t *contract.Table) contract.Mode {
	in, _, err := l.folder.Source(t)
	if t.SQL != "" || err != nil {
		return contract.ModeSnapshot
	}
	for _, x := range l.inputs {
		if x.port == in && x.server != nil {
			return mode(x.server)
		}
	}
	return contract.ModeSnapshot
}

// cause is why the commit is made: other code, where the folder is not the one
// of the rows before.
func (l *load) cause() weft.Cause {
	if l.req.cause == weft.CauseCode && l.last.Seq > 1 {
		if c, ok := lastWithRows(l.p.store); ok && c.Folder != l.rec.Folder {
			return weft.CauseCode
		}
	}
	return weft.CauseLoad
}

// states are the inputs as the SQL sees them: what is stored with what was read.
func (l *load) states() []transform.InputTable {
	var out []transform.InputTable
	for _, x := range l.inputs {
		if x.server == nil {
			for _, s := range x.staged {
				out = append(out, transform.InputTable{
					Port: x.port.Name, Table: s.Table,
					Relation: transform.InputState(nil, s, &contract.Table{Name: s.Table}, contract.ModeSnapshot),
				})
			}
			continue
		}
		for _, t := range x.port.Contract.Tables {
			s := store.Staged{Port: x.port.Name, Table: t.Name}
			for _, got := range x.staged {
				if got.Table == t.Name {
					s = got
				}
			}
			out = append(out, transform.InputTable{
				Port: x.port.Name, Table: t.Name,
				Relation: transform.InputState(l.relation(publish.HiddenName(x.port.Name, t.Name)), s, t, mode(x.server)),
			})
		}
	}
	return out
}

// planInputs keeps what the sources gave, so that changed SQL can be run again
// without them: hidden tables in the same commit. A product without SQL has its
// inputs in its output tables already.
func (l *load) planInputs(ctx context.Context) ([]*store.TableData, error) {
	if !l.hasSQL() {
		return nil, nil
	}
	var out []*store.TableData
	for _, x := range l.inputs {
		if x.server == nil {
			continue // another product keeps its rows itself
		}
		for _, s := range x.staged {
			t := inputTable(x.port.Contract, s.Table)
			name := publish.HiddenName(x.port.Name, s.Table)
			d, err := publish.Plan(ctx, l.session, publish.Request{
				Table: name, Hidden: true, Key: t.Key, Staged: s, Mode: mode(x.server), Columns: t,
				Prior: l.relation(name), PriorKey: l.priorKey(name), Index: l.p.store, Stage: l.stage,
			})
			if err != nil {
				return nil, err
			}
			out = append(out, d)
		}
	}
	return out, nil
}

// verifyInputs holds what the sources gave against the input contracts, before
// the SQL sees it. Of a table that only passes through, that is what its output
// does not promise itself.
func (l *load) verifyInputs(ctx context.Context) (*verify.Outcome, error) {
	none := &verify.Outcome{Pass: true}
	l.phase("verify")
	var tables []verify.Candidate
	var at []*store.Staged
	for i := range l.inputs {
		x := &l.inputs[i]
		if x.server == nil {
			continue // another product has verified its rows itself
		}
		for j := range x.staged {
			c, err := l.inputCandidate(ctx, x, x.staged[j])
			if err != nil {
				return nil, err
			}
			if c != nil {
				tables, at = append(tables, *c), append(at, &x.staged[j])
			}
		}
	}
	if len(tables) == 0 {
		return none, nil
	}
	o, err := verify.Check(ctx, l.session, verify.Request{Product: l.folder.Name, Tables: tables, Stage: l.stage, Now: l.began})
	if err != nil || !o.Pass {
		return o, err
	}
	for i, s := range o.Tables {
		s.Port = at[i].Port
		if l.filled(s.Port, s.Table) != nil {
			s.Rejects, s.RejectRows = at[i].Rejects, at[i].RejectRows
		}
		*at[i] = s
	}
	return o, nil
}

// inputCandidate is a staged input table as it is to be verified, nil where there
// is nothing to hold it against. Rows of a pass-through that could not be read are
// counted with the output, by its rules.
func (l *load) inputCandidate(ctx context.Context, x *input, s store.Staged) (*verify.Candidate, error) {
	t, prior := inputTable(x.port.Contract, s.Table), publish.HiddenName(x.port.Name, s.Table)
	if to := l.filled(x.port.Name, s.Table); to != nil {
		passed := merged(t, to)
		passed.OnViolation, passed.QuarantineLimit = t.OnViolation, t.QuarantineLimit
		if passed.Checks, _ = contract.PassedChecks(t, to); len(passed.Checks) == 0 {
			return nil, nil
		}
		t, prior = passed, to.Name
		s.Rejects, s.RejectRows = "", 0
	}
	last, err := transform.Latest(ctx, l.session, s, t, mode(x.server), l.stage)
	if err != nil {
		return nil, err
	}
	return &verify.Candidate{Table: t, Staged: last, Mode: mode(x.server), Prior: l.relation(prior)}, nil
}

// wholeInputs are the labels of the input tables that were read as a whole: what
// was held back of them before is superseded.
func (l *load) wholeInputs() []string {
	var out []string
	for _, x := range l.inputs {
		for _, s := range x.staged {
			if x.server != nil && s.Full {
				out = append(out, x.port.Name+"."+s.Table)
			}
		}
	}
	return out
}

// joinVerdicts adds the evidence and the held rows of the inputs to those of the
// outputs.
func joinVerdicts(o, inputs *verify.Outcome) {
	o.Verdict.Checks = append(append([]weft.CheckResult{}, inputs.Verdict.Checks...), o.Verdict.Checks...)
	o.Verdict.Quarantined += inputs.Verdict.Quarantined
	switch {
	case inputs.Quarantine == nil:
	case o.Quarantine == nil:
		o.Quarantine = inputs.Quarantine
	default:
		o.Quarantine.Files = append(o.Quarantine.Files, inputs.Quarantine.Files...)
		o.Quarantine.Rows += inputs.Quarantine.Rows
	}
}

// priorKey is the key of the published table, nil where there is no such table.
func (l *load) priorKey(table string) []string {
	for _, t := range l.prior.Tables() {
		if t.Table == table {
			return append([]string{}, t.Key...)
		}
	}
	return nil
}

func (l *load) hasSQL() bool {
	for _, t := range l.folder.Tables() {
		if t.SQL != "" {
			return true
		}
	}
	return false
}

func inputTable(c *contract.Contract, name string) *contract.Table {
	for _, t := range c.Tables {
		if t.Name == name {
			return t
		}
	}
	return &contract.Table{Name: name}
}

// copyOf is the statement that writes a relation to a Parquet file.
func copyOf(r store.Relation, file string) engine.Statement {
	return engine.Statement{
		SQL:     engine.CopyParquet(r.SQL, file),
		Sources: r.Sources,
	}
}
