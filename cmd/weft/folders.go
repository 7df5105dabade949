package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"weft"
	"weft/contract"
)

// productFile makes a folder a product folder.
const productFile = "product.odps.yaml"

// folder is a product folder on this machine.
type folder struct {
	dir   string // absolute
	shown string // as the user would name it
}

// findFolders gives the product folders in paths: each itself, or all below it.
// A path may also be the product's document.
func findFolders(paths []string) ([]folder, error) {
	var out []folder
	seen := map[string]bool{}
	add := func(shown string) error {
		abs, err := filepath.Abs(shown)
		if err != nil {
			return weft.Errorf(weft.KindInvalid, "find the folder", shown, "%w", err)
		}
		if !seen[abs] {
			seen[abs] = true
			out = append(out, folder{dir: abs, shown: shown})
		}
		return nil
	}
	for _, path := range paths {
		st, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, weft.Errorf(weft.KindNotFound, "find the folder", path, "there is no such file or folder")
		}
		if err != nil {
			return nil, weft.Errorf(weft.KindInvalid, "find the folder", path, "%w", err)
		}
		if !st.IsDir() {
			if filepath.Base(path) != productFile {
				return nil, weft.Errorf(weft.KindInvalid, "find the folder", path, "it is a file, not a product folder").
					WithHint("give the folder that holds %s", productFile)
			}
			path = filepath.Dir(path)
		}
		found := contract.Find(os.DirFS(path), ".")
		if len(found) == 0 {
			return nil, weft.Errorf(weft.KindNotFound, "find the folder", path, "there is no product folder in it: no %s", productFile).
				WithHint("weft product new DOMAIN.PRODUCT --from SOURCE writes one")
		}
		for _, rel := range found {
			if err := add(filepath.Join(path, filepath.FromSlash(rel))); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// read reads the folder; the faults name files as the user would.
func (f folder) read() (*contract.Folder, []contract.Fault) {
	p, faults := contract.Read(os.DirFS(f.dir), ".")
	for i := range faults {
		faults[i].File = filepath.Join(f.shown, filepath.FromSlash(faults[i].File))
	}
	return p, faults
}

// byInputs orders folders so that a product comes after those it is made from,
// as far as they are among them.
func byInputs(folders []folder, products map[string]*contract.Folder) []folder {
	byName := map[weft.Name]folder{}
	for _, f := range folders {
		if p := products[f.dir]; p != nil {
			byName[p.Name] = f
		}
	}
	var out []folder
	done := map[string]bool{}
	var visit func(f folder)
	visit = func(f folder) {
		if done[f.dir] {
			return
		}
		done[f.dir] = true // before its inputs: a circle ends here
		if p := products[f.dir]; p != nil {
			for _, in := range p.Inputs {
				if up, ok := byName[in.Product]; ok && !in.Product.IsZero() {
					visit(up)
				}
			}
		}
		out = append(out, f)
	}
	for _, f := range folders {
		visit(f)
	}
	return out
}

// pack makes the tar.gz of a folder that is uploaded: the files that belong to a
// product folder, never a hidden one, so that neither .git nor .env travels. The
// same files give the same bytes.
func pack(p *contract.Folder) ([]byte, error) {
	var buf bytes.Buffer
	zip := gzip.NewWriter(&buf)
	w := tar.NewWriter(zip)
	names := make([]string, 0, len(p.Files))
	for name := range p.Files {
		if !hidden(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		b := p.Files[name]
		err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(b)), Typeflag: tar.TypeReg, Format: tar.FormatPAX})
		if err == nil {
			_, err = w.Write(b)
		}
		if err != nil {
			return nil, weft.Errorf(weft.KindInternal, "pack the folder", p.Name.String(), "%w", err)
		}
	}
	if err := errors.Join(w.Close(), zip.Close()); err != nil {
		return nil, weft.Errorf(weft.KindInternal, "pack the folder", p.Name.String(), "%w", err)
	}
	return buf.Bytes(), nil
}

// hidden reports whether a part of the slash path starts with a dot.
func hidden(name string) bool {
	for part := range strings.SplitSeq(name, "/") {
		if strings.HasPrefix(part, ".") {
			return true
		}
	}
	return false
}

// gitTime bounds each call of git.
const gitTime = 20 * time.Second

// gitRevision gives the revision of the repository that holds dir, and whether
// dir differs from it. Without git or a repository the revision is empty.
func gitRevision(ctx context.Context, dir string) (rev string, dirty bool) {
	rev, err := git(ctx, dir, "rev-parse", "--verify", "HEAD")
	if err != nil {
		return "", false
	}
	changes, err := git(ctx, dir, "status", "--porcelain", "--untracked-files=all", "--", ".")
	return rev, err != nil || changes != ""
}

func git(ctx context.Context, dir string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, gitTime)
	defer cancel()
	c := exec.CommandContext(ctx, "git", append([]string{"-C", dir, "--no-optional-locks"}, args...)...)
	out, err := c.Output()
	return strings.TrimSpace(string(out)), err
}
