package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"weft"
	"weft/access"
	"weft/backup"
	"weft/peer"
	"weft/records"
	"weft/serve"
	"weft/store"
)

// Verification is what the check of a data folder found.
type Verification struct {
	Folder   string    `json:"folder"`
	States   int       `json:"states,omitempty"` // of a backup folder
	Products int       `json:"products"`
	Files    int       `json:"files"`
	Bytes    int64     `json:"bytes"`
	Faults   []Finding `json:"faults"`
	Notes    []Finding `json:"notes"` // what is left over or strange; nothing of it is a fault

	tell  serve.Progress
	total int64 // bytes there are, for tell
}

// Finding is one fault of a data folder, or a note on it.
type Finding struct {
	Folder string `json:"folder"` // that File is relative to: a product's, or the node's
	store.Finding
}

// dataKinds are all the files of a data folder but the products', as path.Match
// takes them. Who adds a kind adds a line.
var dataKinds = []string{
	".gitignore", "lock", "node.json", "token", "books.db", "books.db-wal", "books.db-shm", "books.db.seal",
}

// leftOver are the folders whose content is cleared at the next start.
var leftOver = []string{"stage", "tmp"}

// secrets are files that nobody but the node's user may read.
var secrets = []string{"token", "books.db", "books.db-wal"}

// VerifyFolder checks all that is kept in a data folder, which no node is running
// on: the books, the token, every product's data, and that they belong together.
// It changes nothing and needs no engine. The folder of one product is taken, too.
// The error says that there was nothing to check, or that it is in use. tell hears,
// product by product, how many of the bytes are done; nil for nobody.
func VerifyFolder(ctx context.Context, dir string, tell serve.Progress) (*Verification, error) {
	const op = "verify the data in"
	r := &Verification{Folder: dir, Faults: []Finding{}, Notes: []Finding{}, tell: tell}
	if tell != nil {
		r.total = diskUse(dir)
	}
	if backup.Is(dir) {
		return r, r.backup(ctx, dir)
	}
	if _, err := os.Stat(filepath.Join(dir, "products")); err != nil {
		if _, err := os.Stat(filepath.Join(dir, "journal")); err == nil {
			r.product(ctx, dir, nil)
			return r, ctx.Err()
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, weft.Errorf(weft.KindUnavailable, op, dir, "%w", err)
		}
		return nil, weft.Errorf(weft.KindNotFound, op, dir, "there is no data of a node in it").
			WithHint("give the folder that weft up was started in, or its data folder")
	}
	if InUse(filepath.Join(dir, "lock")) {
		return nil, weft.Errorf(weft.KindConflict, op, dir, "a node is running on it").WithHint("stop the node, or verify a copy")
	}
	products, faults := records.Verify(ctx, filepath.Join(dir, "books.db"), func(h weft.Hash, archive []byte) error {
		f, _, err := readArchive(archive)
		if err == nil && f.Hash != h {
			err = weft.Errorf(weft.KindCorrupt, "read the folder", h.Short(), "it is not the one that was applied")
		}
		return err
	})
	for _, f := range faults {
		r.add(dir, store.Finding{File: f.File, Message: f.Message, Consequence: f.Consequence})
	}
	r.token(dir)
	r.modes(dir)
	r.others(dir)
	r.mesh(ctx, filepath.Join(dir, "mesh"))
	r.products(ctx, dir, products, len(faults) == 0)
	r.copies(ctx, filepath.Join(dir, copiesFolder))
	return r, ctx.Err()
}

// copies checks the copies of other nodes' products: what each holds is a product's
// folder, whose commits their origin has signed.
func (r *Verification) copies(ctx context.Context, dir string) {
	stores, err := filepath.Glob(filepath.Join(dir, "*", "store-*"))
	if err != nil {
		r.add(dir, store.Finding{File: ".", Message: err.Error(), Consequence: "no copy was looked at"})
	}
	for _, s := range stores {
		if ctx.Err() != nil {
			return
		}
		r.product(ctx, s, nil)
	}
}

// backup checks a backup folder: every state in it.
func (r *Verification) backup(ctx context.Context, dir string) error {
	found, err := backup.Verify(ctx, dir)
	if err != nil {
		return err
	}
	r.States, r.Products, r.Files, r.Bytes = found.States, found.Products, found.Files, found.Bytes
	for _, f := range found.Findings {
		r.add(dir, f)
	}
	return nil
}

func (r *Verification) add(dir string, f store.Finding) {
	if f.Note {
		r.Notes = append(r.Notes, Finding{dir, f})
	} else {
		r.Faults = append(r.Faults, Finding{dir, f})
	}
}

func (r *Verification) token(dir string) {
	_, err := os.Stat(filepath.Join(dir, "token"))
	if errors.Is(err, fs.ErrNotExist) {
		r.add(dir, store.Finding{File: "token", Message: "the file is missing", Consequence: "the next start makes a new one", Note: true})
		return
	}
	if _, err = access.LocalToken(filepath.Join(dir, "token")); err != nil {
		var e *weft.Error
		text := err.Error()
		if errors.As(err, &e) && e.Message != "" {
			text = e.Message
		}
		r.add(dir, store.Finding{File: "token", Message: text, Consequence: "the node does not start: " + weft.HintOf(err)})
	}
}

// mesh checks the node's part in a mesh: its keys and its records.
func (r *Verification) mesh(ctx context.Context, dir string) {
	for _, f := range peer.VerifyFolder(ctx, dir) {
		r.add(dir, store.Finding{File: f.File, Message: f.Message, Consequence: f.Consequence, Note: f.Note})
	}
	_ = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error { // what cannot be read was told
		if err == nil && !e.IsDir() {
			if st, err := e.Info(); err == nil {
				r.Files, r.Bytes = r.Files+1, r.Bytes+st.Size()
			}
		}
		return nil
	})
}

// modes finds what other users of the machine could read.
func (r *Verification) modes(dir string) {
	if st, err := os.Stat(dir); err == nil && st.Mode().Perm()&0o077 == 0 {
		return // nobody else gets as far as the files
	}
	for _, name := range secrets {
		if st, err := os.Stat(filepath.Join(dir, name)); err == nil && st.Mode().Perm()&0o077 != 0 && name != "token" {
			r.add(dir, store.Finding{
				File: name, Message: fmt.Sprintf("others can read the file (mode %04o), and the folder does not keep them out", st.Mode().Perm()),
				Consequence: "whoever has a login on this machine can read it; chmod 700 the folder",
			})
		}
	}
}

// others looks at what else lies in the data folder.
func (r *Verification) others(dir string) {
	es, err := os.ReadDir(dir)
	if err != nil {
		r.add(dir, store.Finding{File: ".", Message: err.Error(), Consequence: "not all of the folder was looked at"})
		return
	}
	for _, e := range es {
		name := e.Name()
		if st, err := e.Info(); err == nil && !e.IsDir() {
			r.Files, r.Bytes = r.Files+1, r.Bytes+st.Size()
		}
		note := func(message, consequence string) {
			r.add(dir, store.Finding{File: name, Message: message, Consequence: consequence, Note: true})
		}
		switch {
		case e.IsDir() && (name == "products" || name == "mesh" || name == copiesFolder):
		case e.IsDir() && slices.Contains(leftOver, name):
			if in, err := os.ReadDir(filepath.Join(dir, name)); err == nil && len(in) > 0 {
				note(fmt.Sprintf("something is left over from an interrupted run (entries: %d)", len(in)), "it takes space until the node starts next; nothing reads it")
			}
		case e.IsDir() && name == records.SavedDir:
			note("what an upgrade replaced is kept here", "it takes space until you remove it")
		case name == ".node.json" || strings.HasPrefix(name, ".token-") || strings.HasSuffix(name, ".tmp"):
			note("a file that was being written", "nothing reads it")
		case !slices.Contains(dataKinds, name):
			note("it is of no kind that this program knows", "it is left alone")
		}
	}
}

// products checks every product's folder, and that books and folders name the same.
func (r *Verification) products(ctx context.Context, dir string, recs []records.Product, booksGood bool) {
	data := filepath.Join(dir, "products")
	es, err := os.ReadDir(data)
	if err != nil {
		r.add(dir, store.Finding{File: "products", Message: err.Error(), Consequence: "no product was looked at"})
		return
	}
	byID := map[string]records.Product{}
	for _, rec := range recs {
		byID[rec.ID] = rec
	}
	for _, e := range es {
		if ctx.Err() != nil {
			return
		}
		if !e.IsDir() {
			r.add(data, store.Finding{File: e.Name(), Message: "it is of no kind that this program knows", Consequence: "it is left alone", Note: true})
			continue
		}
		rec, known := byID[e.Name()]
		delete(byID, e.Name())
		path := filepath.Join(data, e.Name())
		if !known {
			r.product(ctx, path, nil)
			if booksGood {
				r.add(data, store.Finding{File: e.Name(), Message: "the books name no product with this data", Consequence: "nothing reads it; it takes space until you remove it", Note: true})
			}
			continue
		}
		r.product(ctx, path, &rec)
	}
	for _, rec := range recs {
		if _, missing := byID[rec.ID]; missing {
			r.add(data, store.Finding{
				File: rec.ID, Message: "the data of product " + rec.Name.String() + " is missing",
				Consequence: "the node starts with the product empty; restore it from a backup first",
			})
		}
	}
}

// product checks one product's data; rec is what the books say of it, nil for
// nothing.
func (r *Verification) product(ctx context.Context, path string, rec *records.Product) {
	if r.tell != nil {
		r.tell(serve.Event{Phase: "verify", Bytes: r.Bytes, Total: r.total})
	}
	got := store.VerifyFolder(ctx, path)
	r.Products++
	r.Files, r.Bytes = r.Files+got.Files, r.Bytes+got.Bytes
	for _, f := range got.Findings {
		r.add(path, f)
	}
	if rec != nil && got.ID != "" && (got.ID != rec.ID || got.Product != rec.Name) {
		r.add(path, store.Finding{
			File: "manifest", Message: fmt.Sprintf("the data is of %s (id %s), the books say %s (id %s)", got.Product, got.ID, rec.Name, rec.ID),
			Consequence: "the product cannot be opened",
		})
	}
}

// InUse reports whether another process holds a lock file.
func InUse(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	return errors.Is(unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB), unix.EWOULDBLOCK)
}
