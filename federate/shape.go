package federate

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"

	"weft/contract"
	"weft/engine"
)

// shapes remembers which columns parts have to give that are no plain tables: what this
// node's own engine says of the same text over tables without rows. Safe for concurrent
// use.
type shapes struct {
	mu   sync.Mutex
	seen map[string]*shape
}

// shape is the columns that a part has to give.
type shape struct {
	schema *arrow.Schema
	huge   []string // those that are HUGEINT to the engine, which Arrow has as decimals
}

// mostShapes is how many are remembered; then it begins anew.
const mostShapes = 2000

func (s *shapes) get(key string) *shape {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen[key]
}

func (s *shapes) put(key string, sc *shape) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen == nil || len(s.seen) >= mostShapes {
		s.seen = map[string]*shape{}
	}
	s.seen[key] = sc
}

// shape is what a part has to give by what the cards say of its tables; nil where they
// do not say enough. The session's lock is not held.
func (p *parting) shape(ctx context.Context, part *engine.Part) (*shape, error) {
	for _, ft := range p.tables(part) {
		for _, c := range ft.table.Columns {
			if c.Type.Kind == contract.KindUnknown {
				return nil, nil
			}
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	text, err := part.StatelessText(ctx, p.parser)
	if err != nil {
		return nil, err
	}
	views := p.emptyTables(part)
	var key strings.Builder
	key.WriteString(text)
	for _, v := range views {
		fmt.Fprintf(&key, "\x00%s\x00%s\x00%s", v.Schema, v.Name, v.SQL)
	}
	if sc := p.a.f.shapes.get(key.String()); sc != nil {
		return sc, nil
	}
	s, err := p.a.enter(ctx, engine.LaneLight)
	if err != nil {
		return nil, err
	}
	rows, err := s.Query(ctx, engine.Statement{SQL: text, Views: views})
	if err != nil {
		return nil, err
	}
	out := &shape{schema: rows.Schema()}
	rows.Release()
	if out.huge, err = hugeOf(ctx, s, engine.Statement{SQL: text, Views: views}, out.schema); err != nil {
		return nil, err
	}
	p.a.f.shapes.put(key.String(), out)
	return out, nil
}

// mayBeHuge says whether a column may be HUGEINT to the engine, as sums of whole numbers are.
func mayBeHuge(f arrow.Field) bool {
	d, ok := f.Type.(*arrow.Decimal128Type)
	return ok && d.Precision == 38 && d.Scale == 0
}

// emptyTables are the tables of parts, without rows.
func (p *parting) emptyTables(parts ...*engine.Part) (views []engine.View) {
	seen := map[engine.Target]bool{}
	for _, part := range parts {
		for _, t := range part.Tables {
			name, ft := p.a.cut.place(t).Name, p.a.cut.fars[t]
			if seen[name] {
				continue
			}
			seen[name] = true
			views = append(views, engine.View{Schema: name.Schema, Name: name.Table, SQL: ft.table.empty()})
		}
	}
	return views
}

// empty is the table without rows.
func (t *FarTable) empty() string {
	var cols []string
	for _, c := range t.Columns {
		cols = append(cols, fmt.Sprintf("CAST(NULL AS %s) AS %s", c.Type.SQL(), engine.QuoteIdent(c.Name)))
	}
	return "SELECT " + strings.Join(cols, ", ") + " WHERE false"
}

// fits holds the columns that come against those that were asked for, and their types
// against what the cards say; huge are those that are HUGEINT.
func (p *parting) fits(ctx context.Context, part *engine.Part, sc *arrow.Schema) (huge []string, err error) {
	if sc.NumFields() != len(part.Columns) {
		return nil, fmt.Errorf("%d columns come where %d were asked for", sc.NumFields(), len(part.Columns))
	}
	for i, f := range sc.Fields() {
		if f.Name != part.Columns[i] {
			return nil, fmt.Errorf("column %d is another than was asked for", i+1)
		}
	}
	if tables := p.tables(part); part.Plain() && len(tables) == 1 {
		return nil, tables[0].table.fits(sc)
	}
	want, err := p.shape(ctx, part)
	if err != nil {
		return nil, &ownError{err}
	}
	if want == nil {
		return nil, nil
	}
	for i, f := range sc.Fields() {
		if w := want.schema.Field(i); !arrow.TypeEqual(w.Type, f.Type) {
			return nil, fmt.Errorf("column %q comes as %s, and by the products' cards it is %s", f.Name, f.Type, w.Type)
		}
	}
	return want.huge, nil
}

// fits holds columns of the table against its card.
func (t *FarTable) fits(sc *arrow.Schema) error {
	for _, f := range sc.Fields() {
		want := t.column(f.Name)
		got, err := contract.FromField(f)
		if err != nil {
			return err
		}
		if want.Type.Kind != contract.KindUnknown && !want.Type.Equal(got) {
			return fmt.Errorf("column %q comes as %s, and the product's card says %s", f.Name, got, want.Type)
		}
	}
	return nil
}
