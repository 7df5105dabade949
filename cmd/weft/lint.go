package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"weft"
	"weft/contract"
)

func (a *app) lintCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "lint PATH…",
		Short: "Check product folders: every fault, each with its place",
		Long: `Check product folders, or all of them below a folder. Every fault is reported with
file, line, column, rule and what to do. It needs no node.

Exit code 1 means that there are errors; warnings alone leave it 0.`,
		Args: atLeast("PATH"),
	}
	format := listFormat(c.Flags(), "text", "json")
	fix := c.Flags().Bool("fix", false, "mend what can be mended safely, and say what was")
	c.RunE = func(_ *cobra.Command, args []string) error {
		folders, err := findFolders(args)
		if err != nil {
			return err
		}
		var fixed []string
		if *fix {
			if fixed, err = fixFolders(folders); err != nil {
				return err
			}
		}
		r := lintFolders(folders)
		r.Fixed = fixed
		if format.value == "json" {
			if err := a.printJSON(r); err != nil {
				return err
			}
		} else {
			printLint(a.out, r)
		}
		if r.Errors > 0 {
			return no()
		}
		return nil
	}
	return c
}

// lintReport is what a check of folders found.
type lintReport struct {
	Folders  []string         `json:"folders"`
	Errors   int              `json:"errors"`
	Warnings int              `json:"warnings"`
	Faults   []contract.Fault `json:"faults"`
	Fixed    []string         `json:"fixed,omitempty"`
}

// lintFolders reads all folders and holds them against each other.
func lintFolders(folders []folder) lintReport {
	r := lintReport{Faults: []contract.Fault{}, Folders: []string{}}
	var read []contract.Found
	for _, f := range folders {
		p, faults := f.read()
		r.Faults = append(r.Faults, faults...)
		r.Folders = append(r.Folders, f.shown)
		if p != nil {
			read = append(read, contract.Found{Dir: f.shown, Folder: p})
		}
	}
	r.Faults = append(r.Faults, contract.CheckTogether(read)...)
	slices.SortStableFunc(r.Faults, func(x, y contract.Fault) int {
		return cmp.Or(strings.Compare(x.File, y.File), cmp.Compare(x.Line, y.Line), cmp.Compare(x.Column, y.Column))
	})
	for _, f := range r.Faults {
		if f.Severity == contract.FaultWarning {
			r.Warnings++
		} else {
			r.Errors++
		}
	}
	return r
}

// fixFolders writes the mended files and says what was mended.
func fixFolders(folders []folder) ([]string, error) {
	var done []string
	for _, f := range folders {
		files, what, err := contract.Fix(os.DirFS(f.dir), ".")
		if err != nil {
			return done, err
		}
		for name, b := range files {
			if err := replaceFile(filepath.Join(f.dir, filepath.FromSlash(name)), b); err != nil {
				return done, weft.Errorf(weft.KindUnavailable, "mend", filepath.Join(f.shown, name), "%w", err)
			}
		}
		for _, w := range what {
			done = append(done, f.shown+": "+w)
		}
	}
	return done, nil
}

// replaceFile writes a file whole or not at all, keeping its mode.
func replaceFile(path string, b []byte) error {
	mode := os.FileMode(0o644)
	if st, err := os.Stat(path); err == nil {
		mode = st.Mode().Perm()
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".weft-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(b)
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Chmod(tmp.Name(), mode)
	}
	if err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}

// printLint prints one line a fault, as compilers do, with the hint below.
func printLint(p *printer, r lintReport) {
	for _, f := range r.Fixed {
		p.println(p.paint(green, "mended") + " " + clean(f))
	}
	printFaults(p, r.Faults)
	words := []string{plural(int64(len(r.Folders)), "folder")}
	switch {
	case r.Errors == 0 && r.Warnings == 0:
		words = append(words, "no faults")
	default:
		if r.Errors > 0 {
			words = append(words, plural(int64(r.Errors), "error"))
		}
		if r.Warnings > 0 {
			words = append(words, plural(int64(r.Warnings), "warning"))
		}
	}
	p.println(strings.Join(words, ", "))
}

// printFaults prints "file:line:column: error: message [rule]" for each.
func printFaults(p *printer, faults []contract.Fault) {
	for _, f := range faults {
		st := red
		if f.Severity == contract.FaultWarning {
			st = yellow
		}
		p.printf("%s: %s: %s %s\n", p.paint(bold, clean(place(f))), p.paint(st, string(f.Severity)), clean(f.Message),
			p.paint(dim, "["+f.Rule+"]"))
		if f.Hint != "" {
			p.printf("    → %s\n", clean(f.Hint))
		}
	}
}

// place writes where a fault is.
func place(f contract.Fault) string {
	switch {
	case f.Line == 0:
		return f.File
	case f.Column == 0:
		return fmt.Sprintf("%s:%d", f.File, f.Line)
	}
	return fmt.Sprintf("%s:%d:%d", f.File, f.Line, f.Column)
}
