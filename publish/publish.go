package publish

import (
	"context"
	"fmt"
	"os"
	"strings"

	"weft"
	"weft/contract"
	"weft/engine"
	"weft/store"
)

// QuarantineRequest is what a verified candidate holds back.
type QuarantineRequest struct {
	Table  string        // the hidden table's name, as verify gives it
	Staged *store.Staged // rows held back now, nil for none
	// Reloaded are the values of column "table" whose rows were read as a whole:
	// what was held of them before is superseded.
	Reloaded []string
	Prior    *store.Relation
	Stage    string
}

// PlanQuarantine computes the change of the quarantine table: rows held of
// tables that were read as a whole take the place of the ones before, others are
// added. It returns nil where nothing changes.
func PlanQuarantine(ctx context.Context, s engine.Session, r QuarantineRequest) (*store.TableData, error) {
	if r.Staged == nil && (r.Prior == nil || r.Prior.Rows == 0) {
		return nil, nil
	}
	p := &plan{Request: Request{Table: r.Table, Hidden: true, Prior: r.Prior, Stage: r.Stage}, session: s}
	var parts []string
	if r.Prior != nil {
		keep := "SELECT * FROM (" + r.Prior.SQL + ")"
		if len(r.Reloaded) > 0 {
			var w []string
			for _, t := range r.Reloaded {
				w = append(w, contract.QuoteLiteral(t))
			}
			keep += ` WHERE "table" NOT IN (` + strings.Join(w, ", ") + ")"
		}
		parts = append(parts, "("+keep+")")
	}
	if r.Staged != nil && len(r.Staged.Files) > 0 {
		parts = append(parts, "(FROM "+engine.ScanParquet(r.Staged.Files...)+")")
	}
	var sources []engine.Source
	if r.Prior != nil {
		sources = r.Prior.Sources
	}
	file, rows, err := p.copy(ctx, strings.Join(parts, " UNION ALL "), sources)
	if err != nil {
		return nil, err
	}
	return Plan(ctx, s, Request{
		Table: r.Table, Hidden: true, Prior: r.Prior, Stage: r.Stage,
		Staged: store.Staged{Table: r.Table, Files: []string{file}, Rows: rows, Full: true},
	})
}

// Publish appends c as one commit, durable when it returns. It makes none, and
// returns the last commit and false, where no table changes and the folder and
// contracts are those of the last commit. Tables that are nil are left out.
func Publish(ctx context.Context, st *store.Store, c store.Candidate, tables ...*store.TableData) (weft.Commit, bool, error) {
	for _, t := range tables {
		if t != nil {
			c.Tables = append(c.Tables, *t)
		}
	}
	if err := ownFiles(c.Tables); err != nil {
		return weft.Commit{}, false, err
	}
	last, any := st.Last()
	if any && len(c.Tables) == 0 && last.Folder == c.Folder && last.Contract == c.Contract && c.Cause != weft.CauseRetire && c.Cause != weft.CauseApply {
		return last, false, nil
	}
	commit, err := st.Append(ctx, c)
	return commit, err == nil, err
}

// ownFiles gives every change a file of its own: the store moves files in, and
// an input that passes through may be the file of its hidden table as well.
func ownFiles(tables []store.TableData) error {
	seen := map[string]bool{}
	for i := range tables {
		t := &tables[i]
		if t.File == "" || !seen[t.File] {
			seen[t.File] = true
			continue
		}
		link := fmt.Sprintf("%s.%d.parquet", strings.TrimSuffix(t.File, ".parquet"), i)
		if err := os.Link(t.File, link); err != nil {
			return weft.Errorf(weft.KindUnavailable, "publish table", t.Table, "its staged file cannot be shared: %w", err)
		}
		t.File = link
	}
	return nil
}
