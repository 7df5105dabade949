package contract

import (
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"weft"
)

// reader builds a Folder from its files.
type reader struct {
	*sink
	dir       string
	folder    *Folder
	product   *Document
	contracts []*contractFile
	unread    int // contracts that could not be read: what they hold is not missing
}

// contractFile is a contract with its document and the ports that name it.
type contractFile struct {
	*Contract
	doc   *Document
	shown string
	used  bool
	nodes map[*Table]*yaml.Node
	cols  map[*Column]*yaml.Node
}

// Read reads the product folder dir of fsys and returns it with all its faults,
// in order of their places. The folder is nil only where nothing useful could be
// read; with any fault of severity error it must not be applied. fsys may be a
// directory or the files of an uploaded archive: every size is bounded.
func Read(fsys fs.FS, dir string) (*Folder, []Fault) {
	dir = path.Clean(dir)
	s := &sink{}
	files, ok := loadFiles(s, fsys, dir)
	if !ok {
		return nil, s.sorted()
	}
	return readFiles(s, files, dir), s.sorted()
}

// ReadFiles reads a folder from its files, such as Folder.Files of one that was
// read before. Otherwise it is Read.
func ReadFiles(files map[string][]byte) (*Folder, []Fault) {
	s := &sink{}
	return readFiles(s, files, "."), s.sorted()
}

func readFiles(s *sink, files map[string][]byte, dir string) *Folder {
	r := &reader{sink: s, dir: dir, folder: &Folder{Files: files, Hash: hashFiles(files)}}
	data, ok := files[productFile]
	if !ok {
		s.errorf(at{file: shownPath(dir, productFile)}, "product-missing", "a product folder holds "+productFile+"; weft product new writes one", "there is no product document here")
		return nil
	}
	r.readContracts()
	r.product = readDocument(s, productFile, shownPath(dir, productFile), data, odps())
	if r.product != nil {
		r.readProduct()
		r.readPorts()
	}
	r.readSQL()
	r.checkContracts()
	r.readCases()
	r.checkPolicy()
	return r.folder
}

// where is a place in the product document.
func (r *reader) where(n *yaml.Node) at { return at{shownPath(r.dir, productFile), n} }

func (c *contractFile) where(n *yaml.Node) at { return at{c.shown, n} }

// readContracts reads every contract of the folder.
func (r *reader) readContracts() {
	ids := map[string]*contractFile{}
	for _, name := range slices.Sorted(maps.Keys(r.folder.Files)) {
		if !strings.HasSuffix(name, contractSuffix) || strings.Contains(name, "/") {
			continue
		}
		shown := shownPath(r.dir, name)
		doc := readDocument(r.sink, name, shown, r.folder.Files[name], odcs())
		if doc == nil {
			r.unread++
			continue
		}
		c := r.readContract(doc, shown)
		if other := ids[c.ID]; other != nil && c.ID != "" {
			r.errorf(c.where(field(doc.root, "id")), "duplicate-id", "give each contract an id of its own", "the id '%s' is already that of %s", clip(c.ID), other.File)
		} else {
			ids[c.ID] = c
		}
		r.contracts = append(r.contracts, c)
	}
}

// checkPolicy refuses a policy file: nothing may look protected that is not.
func (r *reader) checkPolicy() {
	if _, ok := r.folder.Files[policyFile]; ok {
		r.errorf(at{shownPath(r.dir, policyFile), &yaml.Node{Line: 1, Column: 1}}, "policy-not-enforced",
			"remove policy.yaml until policies are enforced, and leave out or hash in SQL what must not be read",
			"policies are not enforced yet, so a folder with a policy is refused: nothing may look protected that is not")
	}
}

// readProduct fills the folder from the product document.
func (r *reader) readProduct() {
	root, f := r.product.root, r.folder
	f.ID, f.Version = text(root, "id"), text(root, "version")
	domain, name := r.checkName(root, "domain", "domain"), r.checkName(root, "name", "product")
	if domain != "" && name != "" {
		f.Name = weft.Name{Domain: domain, Product: name}
	}
	f.Life = r.readLife(root)
	r.readDeprecation(root)
	d := field(root, "description")
	f.Description = Description{text(d, "purpose"), text(d, "limitations"), text(d, "usage")}
	f.Tags = texts(root, "tags")
	r.readTeam(root)
	for _, c := range items(field(root, "support")) {
		f.Support = append(f.Support, Channel{text(c, "channel"), text(c, "url"), text(c, "scope")})
	}
	if f.Description.Purpose == "" {
		r.warnf(r.where(root), "purpose", "add 'description: {purpose: …}': who finds the product reads this first", "the product does not say what it is for")
	}
}

// checkName returns the domain's or product's name, empty where it is not legal.
func (r *reader) checkName(root *yaml.Node, name, what string) string {
	w := text(root, name)
	if w == "" {
		r.errorf(r.where(root), "missing-field", "add '"+name+": …': the address of a product is domain.name", "the product lacks the field '%s'", name)
		return ""
	}
	if err := weft.CheckName(w); err != nil {
		r.nameFault(r.where(field(root, name)), what, w, err)
		return ""
	}
	return w
}

func (s *sink) nameFault(where at, what, w string, err error) {
	msg := err.Error()
	if e, ok := err.(*weft.Error); ok {
		msg = e.Message
	}
	s.errorf(where, "name", weft.HintOf(err), "'%s' cannot name %s: %s", clip(w), a(what), msg)
}

var lives = []string{string(weft.LifeProposed), string(weft.LifeDraft), string(weft.LifeActive), string(weft.LifeDeprecated), string(weft.LifeRetired)}

// readLife reads the status; a product that says none is a draft.
func (r *reader) readLife(root *yaml.Node) weft.Life {
	n := field(root, "status")
	switch {
	case truth(root, "deprecated") && (n == nil || n.Value == string(weft.LifeActive)):
		return weft.LifeDeprecated
	case n == nil:
		return weft.LifeDraft
	case !slices.Contains(lives, n.Value):
		r.errorf(r.where(n), "status", didYouMean(n.Value, lives), "a product's status cannot be '%s'", clip(n.Value))
		return weft.LifeDraft
	}
	return weft.Life(n.Value)
}

// readDeprecation reads until when a deprecated product is served, and what takes its place.
func (r *reader) readDeprecation(root *yaml.Node) {
	file := shownPath(r.dir, productFile)
	props := r.customs(root, onProduct, file)
	if r.folder.Life != weft.LifeDeprecated {
		for _, name := range []string{"weftReplacedBy", "weftServedUntil"} {
			if p, ok := props[name]; ok {
				r.warnf(at{file, p.key}, "custom-property", "write 'status: deprecated', or remove it", "'%s' means nothing: the product is not deprecated", name)
			}
		}
		return
	}
	d := &weft.Deprecation{}
	if p, ok := props["weftReplacedBy"]; ok {
		if name, err := weft.ParseName(p.value.Value); err != nil {
			r.errorf(at{file, p.value}, "name", weft.HintOf(err), "'%s' is not the address of a product", clip(p.value.Value))
		} else {
			d.Replacement = &name
		}
	}
	if p, ok := props["weftServedUntil"]; ok {
		if day, err := time.Parse(time.DateOnly, scalar(p.value)); err == nil {
			d.Until = &day
		}
	}
	r.folder.Deprecation = d
}

func (r *reader) readTeam(root *yaml.Node) {
	team := field(root, "team")
	members := field(team, "members")
	if team != nil && team.Kind == yaml.SequenceNode {
		members = team // ODPS 0.9
	}
	r.folder.Team.Name = text(team, "name")
	for _, m := range items(members) {
		r.folder.Team.Members = append(r.folder.Team.Members, Member{text(m, "username"), text(m, "role")})
		if text(m, "username") == placeholderOwner && r.folder.Life == weft.LifeActive {
			r.warnf(r.where(field(m, "username")), "owner", "write who owns the product", "an active product still has the placeholder owner")
		}
	}
	if len(r.folder.Team.Members) == 0 {
		r.warnf(r.where(root), "owner", "add 'team: {members: [{username: …, role: owner}]}'", "nobody owns the product")
	}
}

// placeholderOwner is what a draft names as its owner.
const placeholderOwner = "owner@example.com"
