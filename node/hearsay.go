package node

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"

	"weft"
	"weft/catalog"
	"weft/openlineage"
	"weft/records"
)

// hearsay is what others told of jobs and datasets that are none of products: in the
// books, and here in memory. A job in it is never changed, another takes its place.
type hearsay struct {
	mu      sync.RWMutex
	jobs    map[catalog.Dataset]*catalog.OutsideJob
	writers map[catalog.Dataset][]catalog.Dataset // jobs by the dataset that they write
	readers map[catalog.Dataset][]catalog.Dataset // jobs by the dataset that they read
	count   int
}

// maxToldColumns is how many columns of one output are kept; of one with more it is
// only known which datasets it is made from.
const maxToldColumns = 1000

// toldColumn is how a column that others told of stands in the books.
type toldColumn struct {
	Namespace string          `json:"namespace"`
	Name      string          `json:"name"`
	Field     string          `json:"field"`
	To        string          `json:"to,omitempty"`
	How       weft.Derivation `json:"how"`
}

// load reads what was told from the books.
func (t *hearsay) load(ctx context.Context, b *records.Books) error {
	all, err := b.AllTold(ctx)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.jobs, t.writers, t.readers, t.count = map[catalog.Dataset]*catalog.OutsideJob{}, map[catalog.Dataset][]catalog.Dataset{}, map[catalog.Dataset][]catalog.Dataset{}, 0
	for _, x := range all {
		t.add(x)
	}
	return nil
}

// add takes one line of the books into memory. The lock is held.
func (t *hearsay) add(x records.Told) {
	name := catalog.Dataset{Namespace: x.JobNamespace, Name: x.JobName}
	d := catalog.Dataset{Namespace: x.Namespace, Name: x.Name}
	j := catalog.OutsideJob{Name: name}
	if old := t.jobs[name]; old != nil {
		j = *old
	}
	side, index := &j.Inputs, t.readers
	if x.Output {
		side, index = &j.Outputs, t.writers
	}
	if !slices.Contains(*side, d) {
		*side = append(slices.Clone(*side), d)
		index[d] = append(slices.Clone(index[d]), name)
		t.count++
	}
	if x.Columns != nil {
		var columns []toldColumn
		_ = json.Unmarshal(x.Columns, &columns) // what cannot be read tells of no column
		j.Columns = slices.DeleteFunc(slices.Clone(j.Columns), func(c catalog.OutsideColumn) bool { return c.To == d })
		for _, c := range columns {
			j.Columns = append(j.Columns, catalog.OutsideColumn{
				From: catalog.Dataset{Namespace: c.Namespace, Name: c.Name}, FromColumn: c.Field, To: d, ToColumn: c.To, How: c.How,
			})
		}
	}
	t.jobs[name] = &j
}

// of lists the jobs that write a dataset, or those that read it.
func (t *hearsay) of(d catalog.Dataset, up bool) (out []*catalog.OutsideJob) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	index := t.readers
	if up {
		index = t.writers
	}
	for _, name := range index[d] {
		out = append(out, t.jobs[name])
	}
	return out
}

func (t *hearsay) job(name catalog.Dataset) *catalog.OutsideJob {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.jobs[name]
}

// tell keeps what events of others say. Those that this node sent itself say nothing new.
func (n *Node) tell(ctx context.Context, events []openlineage.Event) error {
	var list []records.Told
	for i := range events {
		e := &events[i]
		if e.Producer == openlineage.Producer && e.Job.Namespace == n.cfg.Lineage.Namespace {
			continue
		}
		for _, d := range e.Inputs {
			list = append(list, toldOf(e, d.Dataset, false))
		}
		for _, d := range e.Outputs {
			list = append(list, toldOf(e, d.Dataset, true))
		}
	}
	if len(list) == 0 {
		return nil
	}
	if err := n.books.PutTold(ctx, list); err != nil {
		return err
	}
	n.hearsay.mu.Lock()
	for _, x := range list {
		n.hearsay.add(x)
	}
	full := n.hearsay.count > records.MaxTold
	n.hearsay.mu.Unlock()
	if full { // the books have forgotten some
		return n.hearsay.load(ctx, n.books)
	}
	return nil
}

func toldOf(e *openlineage.Event, d openlineage.Dataset, output bool) records.Told {
	t := records.Told{
		JobNamespace: e.Job.Namespace, JobName: e.Job.Name, Namespace: d.Namespace, Name: d.Name, Output: output, Time: e.Time,
	}
	c := d.Facets.Columns
	if !output || c == nil {
		return t
	}
	var columns []toldColumn
	add := func(to string, in openlineage.InputField) {
		how := weft.DeriveTransform
		if len(in.Transformations) > 0 {
			how = in.Transformations[0].Derivation()
		}
		columns = append(columns, toldColumn{in.Namespace, in.Name, in.Field, to, how})
	}
	for to, f := range c.Fields {
		for _, in := range f.Inputs {
			add(to, in)
		}
	}
	for _, in := range c.Rows {
		add("", in)
	}
	if len(columns) == 0 || len(columns) > maxToldColumns {
		return t
	}
	slices.SortFunc(columns, func(a, b toldColumn) int {
		return strings.Compare(a.To+"\x00"+a.Namespace+"\x00"+a.Name+"\x00"+a.Field, b.To+"\x00"+b.Namespace+"\x00"+b.Name+"\x00"+b.Field)
	})
	t.Columns, _ = json.Marshal(columns)
	return t
}
