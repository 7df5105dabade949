package weft_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// floors is the house of docs/design.md: a package imports only lower floors,
// never a neighbour. The sentence is said when somebody breaks the rule.
var floors = map[string]struct {
	floor int
	why   string
}{
	"":            {0, "every word as a type; stdlib and Arrow only, so that everything can import it"},
	"run":         {0, "starting and stopping; handed to constructors, nothing global"},
	"budget":      {0, "who may use how much of the machine and whose turn it is; pure, it starts nothing"},
	"framemem":    {0, "memory for the batches of large answers, taken again; it knows bytes and nothing of what is in them"},
	"peer":        {2, "who is here and how to reach them: records, who may sign what, invitations, links"},
	"sign":        {1, "keys, canonical bytes, digests and signed records: material, it knows nothing of products at work"},
	"openlineage": {1, "run events of lineage as the OpenLineage standard writes them, read and sent"},
	"contract":    {1, "ODCS and ODPS: material, pure reading and writing of documents"},
	"policy":      {1, "who may know of a product and read it: pure decisions"},
	"engine":      {1, "DuckDB, and the only package that knows it"},
	"store":       {2, "one product's journal, files and cuts"},
	"records":     {2, "the node's own books in SQLite"},
	"backup":      {3, "states of a node's data in one folder: it knows stores and books, and no verb"},
	"catalog":     {3, "the cards of the whole mesh, found by words: a fold over records, no network of its own"},
	"receipt":     {3, "the signed proof of an answer: it judges keys by the records of a mesh, and asks nobody"},
	"ingest":      {4, "sources in"},
	"transform":   {4, "a product's SQL"},
	"verify":      {4, "the contract's checks on a candidate"},
	"publish":     {4, "a verified candidate becomes a commit"},
	"federate":    {4, "the only reader"},
	"replicate":   {4, "copies of other products, current and honest"},
	"access":      {4, "who is asking"},
	"meter":       {4, "what consumers may use and have used"},
	"serve":       {4, "the doors: translate a protocol, nothing more"},
	"node":        {5, "wires all of it"},
	"demo":        {0, "the demonstration's folders as files; nothing imports it but commands"},
	"bench":       {6, "measures the whole from outside"},
	"cmd/weft":    {6, "the commands; the only place that exits"},
}

// leaves are drivers: each imports its parent and floors 0 and 1 and is listed
// by name where the node is built.
var leaves = map[string]string{
	"ingest/files":    "ingest",
	"ingest/web":      "ingest",
	"ingest/postgres": "ingest",
	"serve/http":      "serve",
	"serve/client":    "serve",
}

func TestFloors(t *testing.T) {
	seen := map[string]bool{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if n := d.Name(); n != "." && (strings.HasPrefix(n, ".") || n == "testdata" || n == "bin") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		pkg := filepath.ToSlash(filepath.Dir(path))
		if pkg == "." {
			pkg = ""
		}
		if isTestOnly(pkg) {
			return nil
		}
		seen[pkg] = true
		checkFile(t, pkg, path)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for pkg := range floors {
		if !seen[pkg] {
			t.Errorf("the table of floors names %q, but there is no such package: delete the line", pkg)
		}
	}
	for pkg := range leaves {
		if !seen[pkg] {
			t.Errorf("the table of leaves names %q, but there is no such package: delete the line", pkg)
		}
	}
}

// isTestOnly says which packages serve tests alone.
func isTestOnly(pkg string) bool {
	base := filepath.Base(pkg)
	return strings.HasSuffix(base, "test") && base != "test"
}

func checkFile(t *testing.T, pkg, path string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	for _, spec := range f.Imports {
		to, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		if pkg == "" && strings.Contains(to, ".") && !strings.HasPrefix(to, "github.com/apache/arrow-go/") {
			t.Errorf("%s imports %s: the root imports the standard library and Arrow only", path, to)
		}
		rel, ours := strings.CutPrefix(to, "weft/")
		switch {
		case to == "weft":
			rel = ""
		case !ours:
			continue
		}
		if why := forbidden(pkg, rel); why != "" {
			t.Errorf("%s imports %q: %s", path, to, why)
		}
	}
}

func forbidden(from, to string) string {
	if parent, ok := leaves[from]; ok {
		if f, known := floors[to]; to == parent || known && (f.floor <= 1 || f.floor <= 2 && to == "store") {
			return ""
		}
		return "a driver imports its parent and floors 0 and 1"
	}
	ff, ok := floors[from]
	if !ok {
		return "package " + from + " is on no floor: give it one sentence in the table of floors_test.go"
	}
	if _, leaf := leaves[to]; leaf {
		if ff.floor >= 5 {
			return ""
		}
		return "a driver is a leaf: only the node and the commands name it"
	}
	tf, ok := floors[to]
	if !ok && isTestOnly(to) && from == "bench" {
		return "" // it measures with what tests are made of
	}
	if !ok {
		return "package " + to + " is on no floor: give it one sentence in the table of floors_test.go"
	}
	if tf.floor == 0 && from != "" || tf.floor < ff.floor {
		return ""
	}
	return "floor " + strconv.Itoa(ff.floor) + " may only import lower floors, and " + to + " is on floor " + strconv.Itoa(tf.floor) + " (" + tf.why + ")"
}

// TestNoInit holds that nothing registers itself behind the reader's back.
func TestNoInit(t *testing.T) {
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if strings.Contains(string(b), "\nfunc "+"init() {") {
			t.Errorf("%s has an init function: list drivers by name in node/builtin.go instead", path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
