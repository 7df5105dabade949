package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"weft"
	"weft/store"
)

func (a *app) verifyCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "verify [DIR]",
		Short: "Check a data folder, offline: is every byte what was written?",
		Long: `Check the data of a node that is not running: every frame and its checksum, the
chain of commits, the digest of every file. DIR is the node's folder, its data
folder, or a copy of one; without it, this folder. Nothing is changed, and no node
is needed.

Exit code 1 means that something is not what was written; each fault is listed
with what cannot be read because of it.`,
		Args: atMostOne,
	}
	format := listFormat(c.Flags(), "text", "json")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		dir := "."
		if len(args) == 1 {
			dir = args[0]
		}
		stores, err := findStores(dir)
		if err != nil {
			return err
		}
		r := verifyReport{Folder: dir, Products: len(stores), Faults: []verifyFault{}}
		for _, s := range stores {
			if err := cmd.Context().Err(); err != nil {
				return err
			}
			for _, f := range store.Verify(s) {
				r.Faults = append(r.Faults, verifyFault{Folder: s, Finding: f})
			}
		}
		if format.value == "json" {
			err = a.printJSON(r)
		} else {
			printVerify(a.out, r)
		}
		if err == nil && len(r.Faults) > 0 {
			err = no()
		}
		return err
	}
	return c
}

// verifyReport is what the check of a data folder found.
type verifyReport struct {
	Folder   string        `json:"folder"`
	Products int           `json:"products"`
	Faults   []verifyFault `json:"faults"`
}

// verifyFault is one fault of one product's data.
type verifyFault struct {
	Folder string `json:"folder"` // the product's data
	store.Finding
}

// findStores gives the folders of the products' data in dir: of a node, or of
// one product. A folder that a running node holds is refused.
func findStores(dir string) ([]string, error) {
	const op = "verify the data in"
	for _, data := range []string{filepath.Join(dir, dataFolder), dir} {
		products := filepath.Join(data, "products")
		es, err := os.ReadDir(products)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, weft.Errorf(weft.KindUnavailable, op, products, "%w", err)
		}
		if inUse(filepath.Join(data, "lock")) {
			return nil, weft.Errorf(weft.KindConflict, op, data, "a node is running on it").
				WithHint("stop the node, or verify a copy")
		}
		var out []string
		for _, e := range es {
			if e.IsDir() {
				out = append(out, filepath.Join(products, e.Name()))
			}
		}
		return out, nil
	}
	if _, err := os.Stat(filepath.Join(dir, "journal")); err == nil {
		return []string{dir}, nil
	}
	return nil, weft.Errorf(weft.KindNotFound, op, dir, "there is no data of a node in it").
		WithHint("give the folder that weft up was started in, or its %s", dataFolder)
}

// inUse reports whether another process holds the lock file.
func inUse(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	return errors.Is(unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB), unix.EWOULDBLOCK)
}

func printVerify(p *printer, r verifyReport) {
	for _, f := range r.Faults {
		p.printf("%s: %s %s\n", p.paint(bold, filepath.Join(f.Folder, f.File)), p.paint(red, "at byte "+count(f.Offset)+":"), clean(f.Message))
		if f.Consequence != "" {
			p.indent("    ", clean(f.Consequence), plain)
		}
	}
	words := plural(int64(r.Products), "product")
	if len(r.Faults) == 0 {
		p.println(words + ", no faults: every byte is what was written")
		return
	}
	p.println(words + ", " + plural(int64(len(r.Faults)), "fault"))
}
