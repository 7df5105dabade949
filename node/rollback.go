package node

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"weft"
	"weft/contract"
	"weft/publish"
	"weft/serve"
	"weft/store"
)

// Rollback appends a commit that restores the rows and the folder of commit to.
// The positions stay: the source is read again when it changes, not to bring
// back what was rolled back.
func (n *Node) Rollback(ctx context.Context, s weft.Subject, name weft.Name, to weft.Seq) (*serve.CommitInfo, error) {
	p, err := n.ownedBy(s, "roll back", name)
	if err != nil {
		return nil, err
	}
	if err := n.room("roll back", name.String()); err != nil {
		return nil, err
	}
	end, err := n.work.begin("roll back", name.String())
	if err != nil {
		return nil, err
	}
	defer end()
	c, err := p.rollback(ctx, to)
	if err != nil {
		return nil, err
	}
	n.sched.at(p, n.env.Clock.Now().Add(p.interval()))
	n.notify(name)
	return commitInfo(*c), nil
}

func (p *product) rollback(ctx context.Context, to weft.Seq) (*weft.Commit, error) {
	n := p.node
	release, err := p.hold(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	ctx, done, err := p.write(ctx) // a load under way ends first
	if err != nil {
		return nil, err
	}
	defer done()
	l := &load{p: p, req: request{cause: weft.CauseRollback}, began: n.env.Clock.Now()}
	l.folder, l.rec = p.current()
	defer l.close()
	if err := l.open(ctx); err != nil {
		return nil, err
	}
	target, err := p.store.Commit(to)
	if err != nil {
		return nil, err
	}
	archive, err := n.books.Archive(ctx, target.Folder)
	if err != nil {
		return nil, err
	}
	f, faults, err := readArchive(archive)
	if err != nil {
		return nil, err
	}
	if f == nil || contract.HasErrors(faults) {
		return nil, weft.Errorf(weft.KindGone, "roll back", p.name().String(), "the folder of %s cannot be read any more", to)
	}
	rec := l.rec
	rec.Folder, rec.Revision, rec.Applied, rec.Retired = target.Folder, target.Revision, l.began, false
	l.folder, l.rec = f, rec
	if err := l.lazySession(); err != nil {
		return nil, err
	}
	changes, err := l.restore(ctx, to)
	if err != nil {
		return nil, err
	}
	changed, err := p.change("roll back")
	if err != nil {
		return nil, err
	}
	defer changed()
	rec.Paused = p.record().Paused // it may have been paused meanwhile
	c := p.candidate(f, rec, weft.CauseRollback)
	c.Verdict = target.Verdict
	for _, d := range changes {
		c.Tables = append(c.Tables, *d)
	}
	if err := n.books.PutProduct(ctx, rec, archive); err != nil {
		return nil, err
	}
	commit, err := p.store.Append(ctx, c)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	p.ran, p.ranAt = rec.Folder, commit.Seq
	p.mu.Unlock()
	p.take(ctx, f, rec)
	p.noteCommit()
	return &commit, nil
}

// restore plans what brings every table back to how it was at to.
func (l *load) restore(ctx context.Context, to weft.Seq) ([]*store.TableData, error) {
	then, err := l.p.store.Snapshot(ctx, to)
	if err != nil {
		return nil, err
	}
	defer func() { _ = then.Close() }()
	if err := l.verifyShardsThen(ctx, then); err != nil {
		return nil, &weft.Error{Op: "roll back", Subject: l.folder.Name.String(), Kind: weft.KindOf(err), Hint: "roll back to the commit before the folder was applied", Cause: err}
	}
	was := map[string]bool{}
	var out []*store.TableData
	for i, t := range then.Tables() {
		was[t.Table] = true
		r, err := then.Relation(t.Table)
		if err != nil {
			return nil, err
		}
		d, err := l.restoreTable(ctx, i, t, r)
		if err != nil {
			return nil, err
		}
		if d != nil {
			out = append(out, d)
		}
	}
	// A table that was not there then is emptied; that it exists stays history.
	for i, t := range l.prior.Tables() {
		if was[t.Table] || t.Rows == 0 {
			continue
		}
		r, err := l.prior.Relation(t.Table)
		if err != nil {
			return nil, err
		}
		r.SQL = "SELECT * FROM (" + r.SQL + ") WHERE false"
		d, err := l.restoreTable(ctx, 1000+i, t, r)
		if err != nil {
			return nil, err
		}
		if d != nil {
			out = append(out, d)
		}
	}
	return out, nil
}

func (l *load) restoreTable(ctx context.Context, i int, t store.TableInfo, r store.Relation) (*store.TableData, error) {
	if err := os.MkdirAll(l.stage, 0o700); err != nil {
		return nil, weft.Errorf(weft.KindUnavailable, "make the staging folder", "", "%w", err)
	}
	file := filepath.Join(l.stage, fmt.Sprintf("restore-%d.parquet", i))
	rows, err := l.session.Exec(ctx, copyOf(r, file))
	if err != nil {
		return nil, err
	}
	return publish.Plan(ctx, l.session, publish.Request{
		Table: t.Table, Hidden: t.Hidden, Key: t.Key, Prior: l.relation(t.Table), Stage: l.stage,
		Staged: store.Staged{Table: t.Table, Files: []string{file}, Rows: rows, Full: true},
	})
}
