package catalog

import (
	"strings"

	"weft"
)

// Dataset is something that holds data, or a job, in OpenLineage's sense.
type Dataset struct {
	Namespace string
	Name      string
}

func (d Dataset) String() string { return d.Namespace + "/" + d.Name }

// Outside tells of datasets and jobs that are none of products. Its methods are called
// from many goroutines and must answer at once.
type Outside interface {
	// Jobs lists the jobs that write a dataset where up is set, or those that read it.
	Jobs(d Dataset, up bool) []*OutsideJob
	// Job is the job of a name, nil where there is none.
	Job(name Dataset) *OutsideJob
	// Dataset is the dataset that a table of a product is to others, or that its
	// input port reads where port is set.
	Dataset(p weft.Name, port, table string) (Dataset, bool)
	// Product is the table of a product that a dataset is, if it is one.
	Product(d Dataset) (n weft.Name, table string, ok bool)
	// Readers are the input ports of products that read a dataset.
	Readers(d Dataset) []OutsideReader
}

// OutsideReader is a table of an input port.
type OutsideReader struct {
	Product weft.Name
	Port    string
	Table   string
}

// OutsideJob is a job that reads and writes datasets. It does not change.
type OutsideJob struct {
	Name    Dataset
	Inputs  []Dataset
	Outputs []Dataset
	Columns []OutsideColumn // empty where nobody said which columns are made from which
}

// OutsideColumn is a column that is made from another; without ToColumn, the other
// decides which rows there are.
type OutsideColumn struct {
	From       Dataset
	FromColumn string
	To         Dataset
	ToColumn   string
	How        weft.Derivation
}

// datasetsOf are the datasets that a spot is to others: of a product all of its tables.
func (g *graph) datasetsOf(s spot) (out []Dataset) {
	if s.outside != (Dataset{}) {
		return []Dataset{s.outside}
	}
	tables := []string{s.table}
	if card := cardOf(g.entry(s.product)); s.table == "" && s.port == "" && card != nil {
		tables = nil
		for _, t := range card.Tables {
			tables = append(tables, t.Name)
		}
	}
	for _, t := range tables {
		s.table = t
		if d, ok := g.datasetOf(s); ok {
			out = append(out, d)
		}
	}
	return out
}

func (g *graph) datasetOf(s spot) (Dataset, bool) {
	if g.q.Outside == nil || s.table == "" {
		return Dataset{}, false
	}
	return g.q.Outside.Dataset(s.product, s.port, s.table)
}

func (g *graph) readersOf(d Dataset) (out []spot) {
	for _, r := range g.q.Outside.Readers(d) {
		if g.q.Known == nil || g.q.Known(r.Product) {
			out = append(out, spot{product: r.Product, port: r.Port, table: r.Table})
		}
	}
	return out
}

// outsideLinks lists what outside is beside a spot: jobs beside a dataset, datasets
// beside a job, columns beside a column. Where nobody said which columns a job makes
// of which, a column leads to the job.
func (g *graph) outsideLinks(s spot, up bool) (links []link) {
	if g.q.Outside == nil {
		return nil
	}
	if s.job {
		j := g.q.Outside.Job(s.outside)
		if j == nil {
			return nil
		}
		beside := j.Outputs
		if up {
			beside = j.Inputs
		}
		for _, d := range beside {
			links = append(links, link{spot: g.spotOutside(d, "", up)})
		}
		return links
	}
	for _, d := range g.datasetsOf(s) {
		for _, j := range g.q.Outside.Jobs(d, up) {
			if s.column == "" || len(j.Columns) == 0 {
				links = append(links, link{spot: spot{outside: j.Name, job: true}})
				continue
			}
			links = append(links, g.outsideColumns(j, d, s.column, up)...)
		}
	}
	return links
}

// outsideColumns lists the columns that a job makes of a column, or it of.
func (g *graph) outsideColumns(j *OutsideJob, d Dataset, column string, up bool) (links []link) {
	for _, c := range j.Columns {
		switch {
		case up && c.To == d && strings.EqualFold(c.ToColumn, column):
			links = append(links, link{spot: g.spotOutside(c.From, c.FromColumn, up), how: c.How})
		case !up && c.From == d && strings.EqualFold(c.FromColumn, column):
			links = append(links, link{spot: g.spotOutside(c.To, c.ToColumn, up), how: c.How})
		}
	}
	return links
}

// spotOutside is where a dataset is that others told of: it may be a product's table.
func (g *graph) spotOutside(d Dataset, column string, up bool) spot {
	n, table, ok := g.q.Outside.Product(d)
	switch {
	case !ok:
		return spot{outside: d, column: column}
	case !up && g.q.Known != nil && !g.q.Known(n):
		return spot{product: n, hidden: true}
	}
	if g.q.Table == "" { // among products
		return spot{product: n}
	}
	if t := tableOf(cardOf(g.entry(n)), table); t != nil {
		table = t.Name
		for _, c := range t.Columns {
			if strings.EqualFold(c.Name, column) {
				column = c.Name
			}
		}
	}
	return spot{product: n, table: table, column: column}
}

func cardOf(e *Entry) *weft.Card {
	if e == nil {
		return nil
	}
	return e.Card
}
