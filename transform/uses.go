package transform

import (
	"context"
	"slices"
	"time"

	"weft/contract"
	"weft/engine"
)

// Uses are the columns that the SQL of output table t certainly reads, by input
// table (schema is the port): what a source is expected to have where its
// contract leaves columns out. A table of which all columns are used, because of
// a star, is missing; so are columns that may belong to another table.
func Uses(ctx context.Context, s engine.Session, f *contract.Folder, t *contract.Table, now time.Time) (map[engine.Target][]string, error) {
	b, err := engine.Bind(ctx, s, t.SQL, engine.Rules{
		Owner: true, Now: func() time.Time { return now }, Resolve: declared(f),
	})
	if err != nil {
		return nil, inFile(err, f.Name, t)
	}
	out := map[engine.Target][]string{}
	for target, columns := range b.Columns {
		if columns == nil {
			continue
		}
		sure := []string{}
		for _, c := range columns {
			if !slices.Contains(b.Maybe[target], c) {
				sure = append(sure, c)
			}
		}
		out[target] = sure
	}
	return out, nil
}

// declared resolves what a folder's SQL names by the folder alone, without any
// rows at hand.
func declared(f *contract.Folder) engine.Resolver {
	var inputs []InputTable
	open := map[string]bool{} // ports whose tables are not known here
	for _, in := range f.Inputs {
		if in.Contract == nil || len(in.Contract.Tables) == 0 {
			open[in.Name] = true
			continue
		}
		for _, t := range in.Contract.Tables {
			inputs = append(inputs, InputTable{Port: in.Name, Table: t.Name})
		}
	}
	return func(ref engine.TableRef) (engine.Target, error) {
		if open[ref.Parts[0]] && len(ref.Parts) <= 2 {
			return engine.Target{Schema: ref.Parts[0], Table: ref.Parts[len(ref.Parts)-1]}, nil
		}
		known := inputs
		for port := range open {
			known = append(known[:len(known):len(known)], InputTable{Port: port, Table: port})
		}
		in, err := findInput(known, ref.Parts)
		if err != nil {
			return engine.Target{}, err
		}
		return engine.Target{Schema: in.Port, Table: in.Table}, nil
	}
}
