// Package demo holds the demonstration: the real nycflights13 data (CC0) as the
// product folders of four domains and a fifth that is made from them by SQL.
package demo

import (
	"embed"
	"io/fs"
	"os"
	"path/filepath"
)

//go:embed operations fleet airports weather insights
var files embed.FS

// Write puts the folders below dir, leaving files that are already the same
// alone, so that a second start finds unchanged sources.
func Write(dir string) error {
	return fs.WalkDir(files, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		to := filepath.Join(dir, filepath.FromSlash(path))
		if d.IsDir() {
			return os.MkdirAll(to, 0o755)
		}
		b, err := files.ReadFile(path)
		if err != nil {
			return err
		}
		if old, err := os.ReadFile(to); err == nil && string(old) == string(b) {
			return nil
		}
		return os.WriteFile(to, b, 0o644)
	})
}

// Step is one question of the tour with the answer it must have.
type Step struct {
	Title string // what is asked, in one sentence
	SQL   string
	Want  []string // the rows as CSV, without the header, in order
}
