package publish

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"weft"
	"weft/contract"
	"weft/engine"
	"weft/store"
)

// describe learns the columns of both sides: as the engine streams them, and
// what the engine calls their types. One type may be stored in two ways (a uuid
// is text in a block and a uuid in a file), so the state before is read as the
// types of the new rows.
func (p *plan) describe(ctx context.Context) error {
	rows := "FROM " + engine.ScanParquet(p.Staged.Files...)
	var err error
	if p.schema, err = p.schemaOf(ctx, rows, nil); err != nil || p.Prior == nil {
		return err
	}
	if p.priorSchema, err = p.schemaOf(ctx, p.Prior.SQL, p.Prior.Sources); err != nil {
		return err
	}
	new, err := p.types(ctx, rows, nil)
	if err != nil {
		return err
	}
	old, err := p.types(ctx, p.Prior.SQL, p.Prior.Sources)
	if err != nil {
		return err
	}
	if p.defaults, err = p.sayDefaults(ctx); err != nil {
		return err
	}
	var cols []string
	for _, f := range p.schema.Fields() {
		q := contract.QuoteIdent(f.Name)
		was := p.Renamed[f.Name]
		def, ok := p.defaults[f.Name]
		switch {
		case old[f.Name] == "" && old[was] != "":
			q = "CAST(" + contract.QuoteIdent(was) + " AS " + new[f.Name] + ") AS " + q
		case old[f.Name] == "" && ok:
			q = "CAST(" + contract.QuoteLiteral(def) + " AS " + new[f.Name] + ") AS " + q
		case old[f.Name] == "":
			q = "CAST(NULL AS " + new[f.Name] + ") AS " + q
		case old[f.Name] != new[f.Name]:
			q = "CAST(" + q + " AS " + new[f.Name] + ") AS " + q
		}
		cols = append(cols, q)
	}
	p.before = "SELECT " + strings.Join(cols, ", ") + " FROM (" + p.Prior.SQL + ") AS before"
	return nil
}

// sayDefaults writes the defaults of columns that are new as the engine does, and
// holds that they are values of their types.
func (p *plan) sayDefaults(ctx context.Context) (map[string]string, error) {
	said := map[string]string{}
	for name, d := range p.Defaults {
		if len(p.priorSchema.FieldIndices(name)) > 0 {
			continue
		}
		err := p.rows(ctx, engine.Statement{SQL: "SELECT CAST((" + d.Type.FromText(contract.QuoteLiteral(d.Text)) + ") AS VARCHAR) AS v WHERE v IS NOT NULL"}, func(row []string) error {
			said[name] = row[0]
			return nil
		})
		if err != nil {
			return nil, err
		}
		if _, ok := said[name]; !ok {
			return nil, weft.Errorf(weft.KindContract, "publish table", p.Table, "the default of column %s is no %s", name, d.Type).
				WithHint("correct weftDefault of the column")
		}
	}
	return said, nil
}

func (p *plan) schemaOf(ctx context.Context, sql string, sources []engine.Source) (*arrow.Schema, error) {
	r, err := p.session.Query(ctx, engine.Statement{SQL: "SELECT * FROM (" + sql + ") LIMIT 0", Sources: sources})
	if err != nil {
		return nil, err
	}
	defer r.Release()
	for r.Next() { // to the end: a reader that is released early stops its statement
	}
	return r.Schema(), r.Err()
}

// types are the engine's names of the types of a SELECT's columns.
func (p *plan) types(ctx context.Context, sql string, sources []engine.Source) (map[string]string, error) {
	out := map[string]string{}
	err := p.rows(ctx, engine.Statement{SQL: "SELECT column_name, column_type FROM (DESCRIBE " + sql + ")", Sources: sources}, func(row []string) error {
		out[row[0]] = row[1]
		return nil
	})
	return out, err
}

// emptyFile stages a file without rows, for a whole table that has none.
func (p *plan) emptyFile(ctx context.Context) error {
	if p.Columns == nil || len(p.Columns.Columns) == 0 {
		return weft.Errorf(weft.KindInternal, "publish table", p.Table, "neither a file nor columns were given")
	}
	var w []string
	for _, c := range p.Columns.Columns {
		w = append(w, "CAST(NULL AS "+c.Type.SQL()+") AS "+contract.QuoteIdent(c.Name))
	}
	file, _, err := p.copy(ctx, "SELECT "+strings.Join(w, ", ")+" WHERE false", nil)
	p.Staged.Files = []string{file}
	return err
}

// copy writes the rows of sql to a new Parquet file of the stage.
func (p *plan) copy(ctx context.Context, sql string, sources []engine.Source) (string, int64, error) {
	file, err := p.newFile()
	if err != nil {
		return "", 0, err
	}
	n, err := p.session.Exec(ctx, engine.Statement{
		SQL:     engine.CopyParquet(sql, file),
		Sources: sources,
	})
	return file, n, err
}

// deliver puts the rows of file into d: as blocks where they are few, else as
// the file.
func (p *plan) deliver(ctx context.Context, d *store.TableData, file string, rows int64) (*store.TableData, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, weft.Errorf(weft.KindUnavailable, "publish table", p.Table, "the staged file is gone: %w", err)
	}
	if rows >= blockRows || info.Size() > blockBytes {
		d.File, d.FileRows = file, rows
		return d, nil
	}
	r, err := p.session.Query(ctx, engine.Statement{SQL: "FROM " + engine.ScanParquet(file)})
	if err != nil {
		return nil, err
	}
	defer r.Release()
	var got, size int64
	for r.Next() {
		b := r.RecordBatch()
		if size += batchBytes(b); size > p.heldBytes { // a file that is small may hold much
			for _, b := range d.Batches {
				b.Release()
			}
			d.Batches, d.File, d.FileRows = nil, file, rows
			return d, nil
		}
		b.Retain()
		d.Batches = append(d.Batches, b)
		got += b.NumRows()
	}
	if err := r.Err(); err != nil {
		return nil, err
	}
	if got != rows {
		return nil, weft.Errorf(weft.KindInternal, "publish table", p.Table, "%d of %d changed rows were read back", got, rows)
	}
	return d, os.Remove(file)
}

// batchBytes is about how many bytes a batch holds.
func batchBytes(b arrow.RecordBatch) (n int64) {
	for _, c := range b.Columns() {
		n += int64(c.Data().SizeInBytes())
	}
	return n
}

// newFile picks a name that nothing in the stage has yet: several plans of one
// table write there.
func (p *plan) newFile() (string, error) {
	for n := 1; ; n++ {
		file := filepath.Join(p.Stage, fmt.Sprintf("publish-%s-%d.parquet", strings.Trim(p.Table, "_"), n))
		_, err := os.Lstat(file)
		if os.IsNotExist(err) {
			return file, nil
		}
		if err != nil {
			return "", weft.Errorf(weft.KindUnavailable, "publish table", p.Table, "%w", err)
		}
	}
}

// countOps counts a diff's rows by kind.
func (p *plan) countOps(ctx context.Context, file string) (counts, error) {
	var c counts
	err := p.one(ctx, "SELECT count(*) FILTER (WHERE _op = 'i'), count(*) FILTER (WHERE _op = 'u'), count(*) FILTER (WHERE _op = 'd') FROM "+
		engine.ScanParquet(file), &c.inserted, &c.updated, &c.deleted)
	return c, err
}

// one reads the numbers of a result's only row.
func (p *plan) one(ctx context.Context, sql string, into ...*int64) error {
	return p.rows(ctx, engine.Statement{SQL: sql}, func(row []string) error {
		for i, v := range into {
			n, err := strconv.ParseInt(row[i], 10, 64)
			if err != nil {
				return weft.Errorf(weft.KindInternal, "publish table", p.Table, "the engine counted %q", row[i])
			}
			*v = n
		}
		return nil
	})
}

// rows calls f for each row of a small result.
func (p *plan) rows(ctx context.Context, st engine.Statement, f func([]string) error) error {
	r, err := p.session.Query(ctx, st)
	if err != nil {
		return err
	}
	defer r.Release()
	for r.Next() {
		b := r.RecordBatch()
		for i := range int(b.NumRows()) {
			row := make([]string, b.NumCols())
			for j, c := range b.Columns() {
				row[j] = strings.Clone(c.ValueStr(i))
			}
			if err := f(row); err != nil {
				return err
			}
		}
	}
	return r.Err()
}
