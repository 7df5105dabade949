package transform

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"weft"
	"weft/contract"
	"weft/engine"
	"weft/store"
)

// Request is one run of a product's SQL.
type Request struct {
	Folder  *contract.Folder
	Inputs  []InputTable
	Stage   string         // the folder that the session may write to
	Session engine.Session // must be able to read the inputs' files
	Now     time.Time      // what now() means in the SQL
}

// InputTable is one table of an input port, in the state that is to be read.
type InputTable struct {
	Port     string
	Table    string
	Relation store.Relation
}

// Run makes every output table that has SQL, in the folder's order, each as one
// Parquet file of exactly the contract's columns and types. Values that do not
// fit are a fault and never rounded into another type's range. Errors are of
// KindInvalid where the SQL is wrong, KindContract where its result does not
// fit the contract.
func Run(ctx context.Context, r Request) ([]store.Staged, error) {
	var out []store.Staged
	for _, t := range r.Folder.Tables() {
		if t.SQL == "" {
			continue
		}
		s, err := r.table(ctx, t, filepath.Join(r.Stage, "out-"+t.Name+".parquet"))
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// table runs the SQL of one output table.
func (r *Request) table(ctx context.Context, t *contract.Table, file string) (store.Staged, error) {
	bound, err := r.bind(ctx, t)
	if err != nil {
		return store.Staged{}, err
	}
	q := r.input(bound)
	return cast(ctx, r.Session, r.product(), t, q, file)
}

func (r *Request) product() weft.Name { return r.Folder.Name }

// bind passes the owner's SQL through the gate; it sees the input ports only.
func (r *Request) bind(ctx context.Context, t *contract.Table) (*engine.Bound, error) {
	b, err := engine.Bind(ctx, r.Session, t.SQL, engine.Rules{
		Owner: true, Resolve: r.resolve, Now: func() time.Time { return r.Now },
	})
	if err != nil {
		return nil, inFile(err, r.product(), t)
	}
	return b, nil
}

// resolve finds the input that port or port.table means.
func (r *Request) resolve(ref engine.TableRef) (engine.Target, error) {
	in, err := findInput(r.Inputs, ref.Parts)
	if err != nil {
		return engine.Target{}, err
	}
	if ref.At != nil {
		return engine.Target{}, weft.Errorf(weft.KindInvalid, "read the input", strings.Join(ref.Parts, "."),
			"a product's own SQL reads its inputs as they are now, not AT another time")
	}
	return engine.Target{Schema: in.Port, Table: in.Table}, nil
}

// findInput resolves port (its only table, or the one of the port's name) and
// port.table.
func findInput(inputs []InputTable, parts []string) (*InputTable, error) {
	name := strings.Join(parts, ".")
	var known, ofPort []string
	var only *InputTable
	for i := range inputs {
		in := &inputs[i]
		full := in.Port + "." + in.Table
		known = append(known, full)
		switch {
		case len(parts) == 2 && parts[0] == in.Port && parts[1] == in.Table:
			return in, nil
		case len(parts) == 1 && parts[0] == in.Port && in.Table == in.Port:
			return in, nil
		case parts[0] == in.Port:
			ofPort = append(ofPort, full)
			only = in
		}
	}
	if len(parts) == 1 && len(ofPort) == 1 {
		return only, nil
	}
	e := weft.Errorf(weft.KindNotFound, "find the input", name, "the product has no input of this name")
	switch {
	case len(parts) == 1 && len(ofPort) > 1:
		e.Message = "the port has several tables"
		return nil, e.WithHint("name one of them: %s", strings.Join(ofPort, ", "))
	case len(known) == 0:
		return nil, e.WithHint("add an input port to product.odps.yaml")
	}
	return nil, e.WithHint("the SQL of a product sees only its input ports: %s", strings.Join(known, ", "))
}

// input is the bound SQL with the views of the inputs that it names.
func (r *Request) input(b *engine.Bound) engine.Statement {
	st := engine.Statement{SQL: b.SQL}
	used := map[string]bool{}
	for _, ref := range b.Tables {
		in, err := findInput(r.Inputs, ref.Parts)
		if err != nil || used[in.Port+"."+in.Table] {
			continue // Bind has resolved it before, so it is there
		}
		used[in.Port+"."+in.Table] = true
		st.Views = append(st.Views, engine.View{Schema: in.Port, Name: in.Table, SQL: in.Relation.SQL})
		st.Sources = append(st.Sources, in.Relation.Sources...)
	}
	return st
}

// inFile says in whose SQL an error is.
func inFile(err error, product weft.Name, t *contract.Table) error {
	file := t.SQLFile
	if file == "" {
		file = t.Name + ".sql"
	}
	return &weft.Error{
		Op: "run", Subject: fmt.Sprintf("%s of %s", file, product), Kind: weft.KindOf(err),
		Hint: weft.HintOf(err), Cause: err,
	}
}
