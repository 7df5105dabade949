package node

import (
	"cmp"
	"net/url"
	"path/filepath"
	"strings"
	"sync"

	"weft"
	"weft/catalog"
	"weft/contract"
)

// datasetRead is a table of an input port as others call it, before variables are
// put in.
type datasetRead struct {
	Port      string `json:"port"`
	Table     string `json:"table"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

// fileNamespace is where OpenLineage has the files of a machine.
const fileNamespace = "file"

// reads lists what the folder's own sources are to others.
func reads(f *contract.Folder, env string) (out []datasetRead) {
	for _, in := range f.Inputs {
		if in.Contract == nil {
			continue
		}
		s, err := in.Contract.Server(env)
		if err != nil {
			continue
		}
		for _, t := range in.Contract.Tables {
			if ns, name, ok := sourceDataset(s, t); ok {
				out = append(out, datasetRead{Port: in.Name, Table: t.Name, Namespace: ns, Name: name})
			}
		}
	}
	return out
}

// sourceDataset names a table of a source as OpenLineage's naming has it. User,
// password and query of an address are no part of it.
func sourceDataset(s *contract.Server, t *contract.Table) (namespace, name string, ok bool) {
	table := cmp.Or(t.PhysicalName, t.Name)
	switch s.Type {
	case "postgres", "postgresql":
		if !strings.Contains(table, ".") {
			table = cmp.Or(s.Schema, "public") + "." + table
		}
		return "postgres://" + s.Host + ":" + cmp.Or(s.Port, "5432"), s.Database + "." + table, s.Host != "" && s.Database != ""
	case "local":
		return fileNamespace, strings.ReplaceAll(s.Path, "{table}", table), s.Path != ""
	}
	u, err := url.Parse(strings.ReplaceAll(s.URL, "{table}", url.PathEscape(table)))
	if err != nil || u.Host == "" {
		return "", "", false
	}
	return u.Scheme + "://" + u.Host, cmp.Or(u.Path, "/"), true
}

// datasets are the node's own products in OpenLineage's words, and what others told
// of the rest. It is made for one question.
type datasets struct {
	*hearsay
	n *Node

	once sync.Once
	read map[catalog.Dataset][]catalog.OutsideReader
	is   map[catalog.OutsideReader]catalog.Dataset
}

func (n *Node) datasets() *datasets { return &datasets{hearsay: &n.hearsay, n: n} }

// Jobs implements catalog.Outside, as do the following.
func (d *datasets) Jobs(x catalog.Dataset, up bool) []*catalog.OutsideJob { return d.of(x, up) }

// Job is the job of a name.
func (d *datasets) Job(name catalog.Dataset) *catalog.OutsideJob { return d.job(name) }

// Dataset is the dataset that a table of a product is to others, or that its input
// port reads.
func (d *datasets) Dataset(p weft.Name, port, table string) (catalog.Dataset, bool) {
	if port == "" {
		return catalog.Dataset{Namespace: d.n.cfg.Lineage.Namespace, Name: p.String() + "." + table}, true
	}
	d.once.Do(d.look)
	x, ok := d.is[catalog.OutsideReader{Product: p, Port: port, Table: table}]
	return x, ok
}

// Product is the table of a product that a dataset is, if it is one.
func (d *datasets) Product(x catalog.Dataset) (weft.Name, string, bool) {
	if x.Namespace != d.n.cfg.Lineage.Namespace {
		return weft.Name{}, "", false
	}
	w := strings.SplitN(x.Name, ".", 3)
	if len(w) < 2 {
		return weft.Name{}, "", false
	}
	n, err := weft.ParseName(w[0] + "." + w[1])
	if err != nil {
		return weft.Name{}, "", false
	}
	if len(w) == 2 {
		return n, n.Product, true
	}
	return n, w[2], weft.CheckName(w[2]) == nil
}

// Readers are the input ports of this node's products that read a dataset.
func (d *datasets) Readers(x catalog.Dataset) []catalog.OutsideReader {
	d.once.Do(d.look)
	return d.read[x]
}

// look lists what the products of this node read. Where a source is may stand in
// variables: those of its host, port, database and schema are put in, no others.
func (d *datasets) look() {
	d.read, d.is = map[catalog.Dataset][]catalog.OutsideReader{}, map[catalog.OutsideReader]catalog.Dataset{}
	for _, p := range d.n.all() {
		for r, x := range p.sources() {
			d.read[x] = append(d.read[x], r)
			d.is[r] = x
		}
	}
}

// sources are the datasets that the product reads, by port and table.
func (p *product) sources() map[catalog.OutsideReader]catalog.Dataset {
	p.mu.Lock()
	list, dir, name := p.brief.Reads, p.rec.Dir, p.rec.Name
	p.mu.Unlock()
	out := map[catalog.OutsideReader]catalog.Dataset{}
	for _, r := range list {
		x := catalog.Dataset{Namespace: r.Namespace, Name: r.Name}
		switch {
		case strings.HasPrefix(r.Namespace, "postgres://"):
			lookup := p.node.conf().Secrets
			ns, err := contract.Expand(r.Namespace, lookup)
			table, err2 := contract.Expand(r.Name, lookup)
			if err != nil || err2 != nil {
				continue // where it is, is not known
			}
			x = catalog.Dataset{Namespace: ns, Name: table}
		case r.Namespace == fileNamespace && dir != "" && !filepath.IsAbs(r.Name):
			x.Name = filepath.Join(dir, r.Name)
		}
		out[catalog.OutsideReader{Product: name, Port: r.Port, Table: r.Table}] = x
	}
	return out
}
