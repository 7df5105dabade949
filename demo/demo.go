// Package demo holds the demonstration: the real nycflights13 data (CC0) as the
// product folders of four domains and a fifth that is made from them by SQL.
package demo

import (
	"embed"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

//go:embed operations fleet airports weather insights
var files embed.FS

// Domains lists the domains; a product is made of those of the domains before it.
func Domains() []string { return []string{"operations", "fleet", "airports", "weather", "insights"} }

// Write puts the folders of all domains below dir, each in a folder of its domain,
// leaving files that are already the same alone, so that a second start finds
// unchanged sources.
func Write(dir string) error {
	for _, d := range Domains() {
		if err := WriteDomain(filepath.Join(dir, d), d); err != nil {
			return err
		}
	}
	return nil
}

// WriteDomain puts the folders of one domain into dir, as Write does.
func WriteDomain(dir, domain string) error {
	return fs.WalkDir(files, domain, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		to := filepath.Join(dir, filepath.FromSlash(strings.TrimPrefix(path, domain)))
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

// Step is one question of the tour of a single node, with the answer it must have.
type Step struct {
	Title string // what is asked, in one sentence
	SQL   string
	Want  []string // the rows as CSV, without the header, in order
}
