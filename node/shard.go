package node

import (
	"context"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"weft"
	"weft/contract"
	"weft/engine"
	"weft/store"
)

// shardColumn is the column that a table is divided by, nil where it is whole.
func shardColumn(t *contract.Table) *contract.Column {
	if i := slices.IndexFunc(t.Columns, func(c *contract.Column) bool { return c.Shard != nil }); i >= 0 {
		return t.Columns[i]
	}
	return nil
}

// shard gives the column by which a table is a shard, where its rows at the state, and at all
// later ones, were held against that: by the load that made them, or by the first one under
// the current folder (verifyShards).
func (p *product) shard(table string, at weft.Seq) (column string, s weft.Shard, ok bool) {
	p.mu.Lock()
	f, rec, ran, since := p.folder, p.rec, p.ran, p.ranAt
	p.mu.Unlock()
	if f == nil {
		return "", s, false
	}
	t := f.Table(table)
	if t == nil {
		return "", s, false
	}
	c := shardColumn(t)
	if c == nil {
		return "", s, false
	}
	if ran != rec.Folder {
		made, ok := lastWithRows(p.store)
		if !ok || made.Folder != rec.Folder {
			return "", s, false
		}
		since = made.Seq
	}
	return c.Name, *c.Shard, at >= since
}

// verifyShards holds rows that were published under another folder, and stay, against the
// shards that the current one says their tables are.
func (l *load) verifyShards(ctx context.Context, made []store.Staged) error {
	if !l.stale() {
		return nil
	}
	for _, t := range l.folder.Tables() {
		c := shardColumn(t)
		if c == nil || slices.ContainsFunc(made, func(s store.Staged) bool { return s.Table == t.Name && s.Full }) {
			continue
		}
		r := l.renamed(ctx, t)
		if r == nil {
			continue
		}
		if err := l.verifyShard(ctx, t, c, *r); err != nil {
			return err
		}
	}
	return nil
}

// verifyShard holds rows of a table against its shard.
func (l *load) verifyShard(ctx context.Context, t *contract.Table, c *contract.Column, r store.Relation) error {
	rows, err := engine.Fields(ctx, l.session, engine.Statement{
		SQL:     "SELECT count(*) FROM (" + r.SQL + ") WHERE NOT COALESCE(" + c.Type.InShard(contract.QuoteIdent(c.Name), *c.Shard) + ", false)",
		Sources: r.Sources, Files: r.Files,
	})
	if err != nil {
		return err
	}
	if n := rows[0][0].Int(); n != 0 {
		return weft.Errorf(weft.KindContract, "verify the shard", l.folder.Name.String(), "%d rows of table '%s' that are there already have a value of '%s' that is not in shard %s", n, t.Name, c.Name, c.Shard).
			WithHint("load the table anew as a snapshot, or take weftShard back")
	}
	return nil
}

// verifyShardsThen holds the rows of an earlier commit against the shards that its folder says
// their tables are: it may have been applied and never have loaded them.
func (l *load) verifyShardsThen(ctx context.Context, then *store.Snapshot) error {
	for _, info := range then.Tables() {
		t := l.folder.Table(info.Table)
		if t == nil {
			continue
		}
		c := shardColumn(t)
		if c == nil {
			continue
		}
		if !slices.ContainsFunc(info.Schema.Fields(), func(f arrow.Field) bool { return f.Name == c.Name }) {
			return weft.Errorf(weft.KindContract, "verify the shard", l.folder.Name.String(), "table '%s' has no column '%s' yet", t.Name, c.Name)
		}
		r, err := then.Relation(info.Table)
		if err != nil {
			return err
		}
		if err := l.verifyShard(ctx, t, c, r); err != nil {
			return err
		}
	}
	return nil
}
