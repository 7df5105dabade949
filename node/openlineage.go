package node

import (
	"fmt"

	"github.com/google/uuid"

	"weft"
	"weft/catalog"
	"weft/contract"
	"weft/openlineage"
	"weft/records"
)

// LineageConfig says whom the node tells of its loads, in OpenLineage's words.
type LineageConfig struct {
	Endpoint  string // where events are sent; empty sends none
	Key       string // ${VAR}: sent as a bearer token
	Namespace string // of this node's jobs and datasets, default "weft"
}

// newSender makes what sends the events, nil where nobody is to be told.
func (c Config) newSender() (*openlineage.Sender, error) {
	if c.Lineage.Endpoint == "" {
		return nil, nil
	}
	key, err := contract.Expand(c.Lineage.Key, c.Secrets)
	if err != nil {
		return nil, err
	}
	return openlineage.NewSender(openlineage.SenderConfig{URL: c.Lineage.Endpoint, Key: key, Env: c.RunEnv}), nil
}

// runOf is one load as a run of a job.
type runOf struct {
	p  *product
	id string
	f  *contract.Folder
}

// beginRun says that a load begins; nil where nobody listens.
func (p *product) beginRun(a records.Attempt) *runOf {
	if p.node.sender == nil {
		return nil
	}
	f, _ := p.current()
	if f == nil {
		return nil
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil
	}
	r := &runOf{p: p, id: id.String(), f: f}
	e := r.event(openlineage.Start)
	e.Time = a.Started
	p.node.sender.Send(e)
	return r
}

// end says how the load ended. Of an error only its kind is said: what it says may hold
// values of the data.
func (r *runOf) end(a records.Attempt, l loaded, aborted bool) {
	if r == nil {
		return
	}
	e := r.event(openlineage.Complete)
	e.Time = a.Ended
	switch {
	case aborted:
		e.Type = openlineage.Abort
	case l.err != nil:
		e.Type = openlineage.Fail
		e.Run.Facets.Error = &openlineage.ErrorMessage{
			Message: fmt.Sprintf("%s: %s (weft history %s says more)", a.Outcome, weft.KindOf(l.err), r.f.Name), Language: "SQL",
		}
	}
	for i := range e.Outputs {
		r.outcome(&e.Outputs[i], r.f.Tables()[i], l)
	}
	r.p.node.sender.Send(e)
}

// event is what holds of every event of the run.
func (r *runOf) event(t openlineage.EventType) openlineage.Event {
	ns := r.p.node.cfg.Lineage.Namespace
	e := openlineage.Event{
		Type: t, Run: openlineage.Run{ID: r.id},
		Job: openlineage.Job{Namespace: ns, Name: r.f.Name.String(), Facets: openlineage.JobFacets{
			Type: &openlineage.JobType{Processing: "BATCH", Integration: "WEFT", Type: "PRODUCT"},
		}},
	}
	for _, d := range r.inputs() {
		e.Inputs = append(e.Inputs, openlineage.InputDataset{Dataset: openlineage.Dataset{Namespace: d.Namespace, Name: d.Name}})
	}
	for _, t := range r.f.Tables() {
		s := &openlineage.Schema{Fields: []openlineage.Field{}}
		for _, c := range t.Columns {
			s.Fields = append(s.Fields, openlineage.Field{Name: c.Name, Type: c.Type.SQL(), Description: c.Description})
		}
		e.Outputs = append(e.Outputs, openlineage.OutputDataset{Dataset: openlineage.Dataset{
			Namespace: ns, Name: r.f.Name.String() + "." + t.Name, Facets: openlineage.DatasetFacets{Schema: s},
		}})
	}
	return e
}

// inputs are the datasets that the folder's ports read.
func (r *runOf) inputs() (out []catalog.Dataset) {
	sources := r.p.sources()
	for _, in := range r.f.Inputs {
		if in.Product.IsZero() {
			for _, t := range in.Contract.Tables {
				if d, ok := sources[catalog.OutsideReader{Product: r.f.Name, Port: in.Name, Table: t.Name}]; ok {
					out = append(out, d)
				}
			}
			continue
		}
		for _, t := range r.tablesOf(in.Product) {
			out = append(out, catalog.Dataset{Namespace: r.p.node.cfg.Lineage.Namespace, Name: in.Product.String() + "." + t})
		}
	}
	return out
}

// tablesOf are the tables of another product, its main one where it is not known.
func (r *runOf) tablesOf(n weft.Name) (out []string) {
	if e, ok := r.p.node.cat.Get(n); ok {
		for _, t := range e.Card.Tables {
			out = append(out, t.Name)
		}
	}
	if len(out) == 0 {
		out = []string{n.Product}
	}
	return out
}

// outcome says of one output table what the load made of it.
func (r *runOf) outcome(d *openlineage.OutputDataset, t *contract.Table, l loaded) {
	if l.verdict != nil {
		as := &openlineage.Assertions{Assertions: []openlineage.Assertion{}}
		for _, c := range l.verdict.Checks {
			if c.Table != t.Name {
				continue
			}
			severity := "error"
			if c.Severity != weft.SeverityError {
				severity = "warn"
			}
			as.Assertions = append(as.Assertions, openlineage.Assertion{Assertion: c.Kind, Success: c.Pass, Column: c.Column, Severity: severity})
		}
		d.Facets.Assertions = as
	}
	d.Facets.Columns = r.columns(t.Name)
	if l.commit == nil {
		return
	}
	d.Facets.Version = &openlineage.Version{Version: l.commit.Hash.String()}
	for _, c := range l.commit.Tables {
		if c.Table == t.Name && !c.Hidden {
			d.OutputFacets.Statistics = &openlineage.Statistics{Rows: c.Inserted + c.Updated}
		}
	}
}

// columns is the lineage of an output table, as the product's card has it.
func (r *runOf) columns(table string) *openlineage.ColumnLineage {
	e, ok := r.p.node.cat.Get(r.f.Name)
	if !ok {
		return nil
	}
	sources := r.p.sources()
	for _, t := range e.Card.Tables {
		if t.Name != table {
			continue
		}
		c := &openlineage.ColumnLineage{Fields: map[string]openlineage.ColumnInputs{}, Rows: r.fields(t.Uses, sources)}
		for _, col := range t.Columns {
			if in := r.fields(col.From, sources); len(in) > 0 {
				c.Fields[col.Name] = openlineage.ColumnInputs{Inputs: in}
			}
		}
		return c
	}
	return nil
}

// fields are sources in the standard's words; those whose dataset is not known are
// left out.
func (r *runOf) fields(from []weft.Source, sources map[catalog.OutsideReader]catalog.Dataset) (out []openlineage.InputField) {
	for _, s := range from {
		d := sources[catalog.OutsideReader{Product: r.f.Name, Port: s.Port, Table: s.Table}]
		if s.Product != nil {
			table := s.Table
			if table == "" {
				table = r.tablesOf(*s.Product)[0]
			}
			d = catalog.Dataset{Namespace: r.p.node.cfg.Lineage.Namespace, Name: s.Product.String() + "." + table}
		}
		if d == (catalog.Dataset{}) || s.Column == "" {
			continue
		}
		how := openlineage.TransformationOf(s.How)
		if i := len(out) - 1; i >= 0 && out[i].Namespace == d.Namespace && out[i].Name == d.Name && out[i].Field == s.Column {
			out[i].Transformations = append(out[i].Transformations, how)
			continue
		}
		out = append(out, openlineage.InputField{Namespace: d.Namespace, Name: d.Name, Field: s.Column, Transformations: []openlineage.Transformation{how}})
	}
	return out
}
