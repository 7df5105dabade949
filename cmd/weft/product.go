package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"weft"
	"weft/contract"
)

func (a *app) productCommand() *cobra.Command {
	return group("product", "Write a product folder from a source", a.productNewCommand())
}

func (a *app) productNewCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "new NAME --from SOURCE",
		Short: "Look at a source and write a product folder for it",
		Long: `Look at a source and write a product folder: schema, keys, what is required, the
values of enumerations, ranges, a first set of checks, and an owner to fill in. The
folder passes weft lint and can be applied as it is. It needs no node.

SOURCE is a CSV, JSON, NDJSON or Parquet file (gzip and zstd too), a glob, an
http(s) URL, or PostgreSQL tables as postgres://HOST/DATABASE/SCHEMA.TABLE.

Columns that look personal are classified as restricted, and none of their values
is written anywhere. Passwords are never written: the folder names variables.`,
		Example: `  weft product new sales.orders --from orders.csv
  weft product new fleet.trips --from 'trips/*.parquet' --into domains/fleet`,
		Args: exactly("NAME"),
	}
	from := c.Flags().String("from", "", "the source to look at")
	into := c.Flags().String("into", ".", "the folder that the product folder is written into")
	format := listFormat(c.Flags(), "text", "json")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		name, err := weft.ParseName(args[0])
		if err != nil {
			return err
		}
		if *from == "" {
			return usage("write the product", name.String(), "--from is missing").WithHint("weft product new %s --from FILE", name)
		}
		return a.productNew(cmd.Context(), name, *from, *into, format.value == "json")
	}
	return c
}

// productNew looks at the source and writes the folder.
func (a *app) productNew(ctx context.Context, name weft.Name, from, into string, asJSON bool) error {
	dir := filepath.Join(into, name.Product)
	if es, err := os.ReadDir(dir); err == nil && len(es) > 0 {
		if _, err := os.Stat(filepath.Join(dir, productFile)); err == nil {
			return weft.Errorf(weft.KindConflict, "write the product", name.String(), "%s is a product folder already", dir).
				WithHint("choose another folder with --into")
		}
	}
	found, err := a.look(ctx, name, from)
	if err != nil {
		return lookFault(err)
	}
	shape := found.Shape
	if err := fromFolder(&shape.Server, dir); err != nil {
		return err
	}
	files, err := contract.Draft(name, shape)
	if err != nil {
		return err
	}
	if err := writeDraft(dir, files); err != nil {
		return err
	}
	report := draftReport(name, dir, files, shape)
	report.Variables = found.vars
	if asJSON {
		return a.printJSON(report)
	}
	a.printDraft(report)
	return nil
}

// fromFolder makes the path of a local source start at the product folder, where
// the two are in the same tree; the folder can then be moved together with it.
func fromFolder(s *contract.Server, dir string) error {
	if s.Path == "" || strings.Contains(s.Path, "://") {
		return nil
	}
	wd, err := os.Getwd()
	if err != nil {
		return weft.Errorf(weft.KindUnavailable, "write the product", dir, "%w", err)
	}
	source, folder := resolve(wd, s.Path), resolve(wd, dir)
	rel, err := filepath.Rel(folder, source)
	if err != nil || strings.Count(rel, ".."+string(filepath.Separator)) > maxUp {
		s.Path = source
		return nil
	}
	s.Path = filepath.ToSlash(rel)
	return nil
}

// maxUp is how many folders up a source may be for its path to be a relative one.
const maxUp = 3

// writeDraft writes the files; one that is there already is left alone and is an
// error.
func writeDraft(dir string, files map[string][]byte) error {
	const op = "write the product folder"
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return weft.Errorf(weft.KindUnavailable, op, dir, "%w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if _, err := os.Lstat(path); err == nil {
			return weft.Errorf(weft.KindConflict, op, path, "the file is there already").WithHint("choose another folder with --into")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		path := filepath.Join(dir, filepath.FromSlash(name))
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if errors.Is(err, fs.ErrExist) {
			return weft.Errorf(weft.KindConflict, op, path, "the file is there already")
		}
		if err == nil {
			_, err = f.Write(files[name])
			if cerr := f.Close(); err == nil {
				err = cerr
			}
		}
		if err != nil {
			return weft.Errorf(weft.KindUnavailable, op, path, "%w", err)
		}
	}
	return nil
}

// draft is what weft product new did.
type draft struct {
	Product weft.Name    `json:"product"`
	Folder  string       `json:"folder"`
	Files   []draftFile  `json:"files"`
	Tables  []draftTable `json:"tables"`
	// Variables are to be set before the folder is applied; their values were in
	// --from and are written nowhere.
	Variables []string `json:"variables,omitempty"`
}

type draftFile struct {
	Name  string `json:"name"`
	Lines int    `json:"lines"`
}

type draftTable struct {
	Name     string   `json:"name"`
	Rows     int64    `json:"rows"`
	Columns  int      `json:"columns"`
	Key      []string `json:"key,omitempty"`
	Personal []string `json:"personal,omitempty"`
}

func draftReport(name weft.Name, dir string, files map[string][]byte, shape *contract.Shape) draft {
	d := draft{Product: name, Folder: dir}
	for _, f := range slices.Sorted(maps.Keys(files)) {
		d.Files = append(d.Files, draftFile{Name: f, Lines: bytes.Count(files[f], []byte("\n"))})
	}
	for _, t := range shape.Tables {
		dt := draftTable{Name: t.Name, Rows: t.Rows, Columns: len(t.Columns), Key: t.Key}
		for _, c := range t.Columns {
			if c.Personal {
				dt.Personal = append(dt.Personal, c.Name)
			}
		}
		d.Tables = append(d.Tables, dt)
	}
	return d
}

func (a *app) printDraft(d draft) {
	p := a.out
	p.printf("%s is in %s\n", p.paint(bold, d.Product.String()), d.Folder)
	for _, f := range d.Files {
		p.printf("  %-28s %s\n", f.Name, plural(int64(f.Lines), "line"))
	}
	for _, t := range d.Tables {
		w := []string{"table " + t.Name, plural(t.Rows, "row"), plural(int64(t.Columns), "column")}
		if len(t.Key) > 0 {
			w = append(w, "key "+strings.Join(t.Key, ", "))
		} else {
			w = append(w, "no key found")
		}
		printFacts(p, w)
		if len(t.Personal) > 0 {
			p.indent("  ", fmt.Sprintf("looks personal, classified as restricted: %s", strings.Join(t.Personal, ", ")), yellow)
		}
	}
	if len(d.Variables) > 0 {
		p.indent("→ ", fmt.Sprintf("set %s in the node's environment or its .env (mode 0600); the values are written nowhere", strings.Join(d.Variables, ", ")), cyan)
	}
	p.indent("→ ", fmt.Sprintf("read it through, name the owner and the purpose, then weft lint %s and weft apply %s", d.Folder, d.Folder), cyan)
}
