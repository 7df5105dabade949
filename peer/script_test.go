package peer

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"weft"
	"weft/run"
	"weft/sign"
)

var rewrite = flag.Bool("rewrite", false, "write what the scripts of testdata give into them")

// world is what a script of testdata/authority speaks of: keys by name, a mesh, and a
// set that takes what they sign. A line is a command, with words and name=value; what
// it gives follows it, indented.
//
//	found FOUNDERS [k=N]                    make the mesh and give the set its charter
//	charter [v=] [founders=] [k=] sign=     a later charter
//	domain D key= epoch= sign=
//	admit NODE D sign=                      D is "-" for none
//	revoke NODE D sign=                     D is "-" for all
//	rotate OLD NEW [v=]
//	node NODE [v=] [sign=] [name=]
//	card|head|gone NODE PRODUCT id= v= [sign=] [text=]
//	handover FROM TO PRODUCT id= v= [sign=]
//	other NODE KIND KEY v= [format=]
//	get KIND KEY · resolve PRODUCT · conflicts · domains NODE · members · count · move TIME · expire
//
// Every record may have time=+3h, mesh=other, and harm=flip, cut, swell or bloat.
type world struct {
	t     testing.TB
	clock *clock
	set   *Set
	mesh  weft.Hash
	keys  map[string]sign.Key
	raws  [][]byte // all that was given to the set
}

func newWorld(t testing.TB) *world {
	return &world{t: t, clock: newClock(), keys: map[string]sign.Key{}}
}

// emptySet is a set of the world's mesh that holds nothing.
func (w *world) emptySet() *Set {
	s := newSet(w.clock.Now, run.Quiet().Log, nil)
	ok(w.t, s.bind(w.mesh, nil))
	return s
}

func (w *world) key(name string) sign.Key {
	k, have := w.keys[name]
	if !have {
		k = sign.NewKey()
		w.keys[name] = k
	}
	return k
}

func (w *world) id(name string) weft.KeyID {
	if name == "" || name == "-" {
		return weft.KeyID{}
	}
	return w.key(name).ID()
}

func (w *world) ids(list string) (ids []weft.KeyID) {
	for _, n := range split(list) {
		ids = append(ids, w.id(n))
	}
	return ids
}

func split(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' })
}

// named writes the names of keys instead of their digits.
func (w *world) named(text string) string {
	for n, k := range w.keys {
		text = strings.ReplaceAll(strings.ReplaceAll(text, k.ID().String(), n), k.ID().Short(), n)
	}
	return text
}

// line is a parsed line of a script.
type line struct {
	words []string
	opts  map[string]string
}

func parseLine(text string) line {
	l := line{opts: map[string]string{}}
	for _, f := range strings.Fields(text) {
		if k, v, ok := strings.Cut(f, "="); ok {
			l.opts[k] = v
		} else {
			l.words = append(l.words, f)
		}
	}
	return l
}

func (l line) word(i int) string {
	if i < len(l.words) && l.words[i] != "-" {
		return l.words[i]
	}
	return ""
}

func (l line) or(name, other string) string {
	if v, ok := l.opts[name]; ok {
		return v
	}
	return other
}

func (l line) number(name string, other uint64) uint64 {
	n, err := strconv.ParseUint(l.or(name, strconv.FormatUint(other, 10)), 10, 64)
	if err != nil {
		panic(err)
	}
	return n
}

// run does one command and returns what it gives.
func (w *world) run(text string) string {
	l := parseLine(text)
	switch l.words[0] {
	case "get":
		r := w.set.Get(l.words[1], l.word(2))
		if r == nil {
			return "nothing"
		}
		return w.named(fmt.Sprintf("version %d of %s", r.Version, r.Signers[0]))
	case "resolve":
		if err := w.set.Resolve(nameOf(l.words[1])); err != nil {
			return w.sorted(w.named(err.Error()))
		}
		return "ok"
	case "conflicts":
		var out []string
		for _, c := range w.set.conflicts() {
			out = append(out, w.sorted(w.named(c.String())))
		}
		slices.Sort(out)
		return strings.Join(out, "\n")
	case "domains":
		return fmt.Sprintf("%q", w.set.auth.domainsOf(w.id(l.words[1])))
	case "members":
		return w.members()
	case "count":
		return strconv.Itoa(w.set.Count())
	case "move":
		d, err := time.ParseDuration(l.words[1])
		ok(w.t, err)
		w.clock.move(d)
		return ""
	case "expire":
		ok(w.t, w.set.Expire())
		return ""
	}
	raw := w.harm(w.record(l), l.opts["harm"])
	if l.words[0] == "found" {
		w.mesh = sign.Digest(raw)
		w.set = w.emptySet()
	}
	w.raws = append(w.raws, raw)
	_, fate, err := w.set.Add(raw)
	if err != nil {
		return w.named(fmt.Sprintf("%s: %s", fate, err))
	}
	return fate.String()
}

// sorted puts the names behind "the keys" and "the nodes" in order: keys are random.
func (w *world) sorted(text string) string {
	for _, sep := range []string{"the keys ", "the nodes ", "up for ", "claim it: ", "have domain sales: "} {
		if before, list, ok := strings.Cut(text, sep); ok {
			names := strings.Split(list, ", ")
			slices.Sort(names)
			return before + sep + strings.Join(names, ", ")
		}
	}
	return text
}

func (w *world) members() string {
	var out []string
	for _, m := range w.set.members() {
		text := fmt.Sprintf("%s %q", m.ID, m.Domains)
		if m.Revoked {
			text += " revoked " + m.Reason
		}
		if !m.Rotated.IsZero() {
			text += " is now " + m.Rotated.String()
		}
		out = append(out, strings.TrimSpace(w.named(text)))
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

// record makes the record that a line speaks of.
func (w *world) record(l line) []byte {
	h := sign.Head{Mesh: w.mesh, Version: l.number("v", 1), Time: w.clock.Now()}
	if l.opts["mesh"] == "other" {
		h.Mesh = sign.Digest([]byte("other"))
	}
	if t := l.opts["time"]; t != "" {
		d, err := time.ParseDuration(t)
		ok(w.t, err)
		h.Time = h.Time.Add(d)
	}
	signers := split(l.opts["sign"])
	by := func(names ...string) {
		if len(signers) == 0 {
			signers = names
		}
	}
	var body any
	switch n := w.id(l.word(1)); l.words[0] {
	case "found":
		h.Kind, h.Mesh = KindCharter, weft.Hash{}
		body = Charter{Name: "acme", Founders: w.ids(l.words[1]), Threshold: int(l.number("k", 1)), Grace: Grace{GoneDays: 30}}
		by(split(l.words[1])...)
	case "charter":
		h.Kind = KindCharter
		body = Charter{Name: l.or("name", "acme"), Founders: w.ids(l.opts["founders"]), Threshold: int(l.number("k", 1)), Grace: Grace{GoneDays: 30}}
	case "domain":
		h.Kind, h.Key, h.Version = KindDomain, l.words[1], l.number("epoch", 1)
		body = Certificate{Domain: l.words[1], Key: w.id(l.opts["key"]), Epoch: h.Version}
	case "admit":
		h.Kind, h.Key = KindAdmission, NodeKey(n, l.word(2))
		body = Admission{Node: n, Domain: l.word(2)}
	case "revoke":
		h.Kind, h.Key = KindRevocation, NodeKey(n, l.word(2))
		body = Revocation{Node: n, Domain: l.word(2), Reason: l.opts["reason"]}
	case "rotate":
		h.Kind, h.Key = KindRotation, n.String()
		body = Rotation{Old: n, New: w.id(l.words[2])}
		by(l.words[1:3]...)
	case "node":
		h.Kind, h.Key = KindNode, n.String()
		body = NodeInfo{Name: l.opts["name"]}
		by(l.words[1])
	case "card":
		h.Kind, h.Key = KindCard, l.words[2]
		body = weft.Card{ID: l.opts["id"], Product: nameOf(l.words[2]), Origin: n, Purpose: l.opts["text"]}
		by(l.words[1])
	case "head":
		h.Kind, h.Key = KindHead, l.words[2]
		body = weft.CardHead{Point: weft.Point{Product: nameOf(l.words[2]), ID: l.opts["id"]}, Origin: n}
		by(l.words[1])
	case "gone":
		h.Kind, h.Key = l.or("kind", KindCard), l.words[2]
		body = Tombstone{Gone: true, ID: l.opts["id"]}
		by(l.words[1])
	case "handover":
		h.Kind, h.Key = KindHandover, l.words[3]
		body = Handover{Product: nameOf(l.words[3]), ID: l.opts["id"], From: n, To: w.id(l.words[2])}
		by(l.words[1:3]...)
	case "other":
		h.Kind, h.Key = l.words[2], l.words[3]
		body = map[string]string{"text": l.opts["text"]}
		by(l.words[1])
	default:
		w.t.Fatalf("no such command: %s", l.words[0])
	}
	return w.seal(h, int(l.number("format", 1)), body, signers)
}

// seal signs with the keys of these names, in any format.
func (w *world) seal(h sign.Head, format int, body any, signers []string) []byte {
	var keys []sign.Key
	var ids []weft.KeyID
	for _, n := range signers {
		keys, ids = append(keys, w.key(n)), append(ids, w.id(n))
	}
	raw, err := sign.Draft(h, body, ids...)
	ok(w.t, err)
	raw = bytes.Replace(raw, []byte(`{"format":1,`), []byte(fmt.Sprintf(`{"format":%d,`, format)), 1)
	text := raw[:len(raw):len(raw)]
	for _, k := range keys {
		raw = append(raw, sign.SignDraft(text, k)...)
	}
	return raw
}

func (w *world) harm(raw []byte, how string) []byte {
	switch how {
	case "flip":
		raw[bytes.Index(raw, []byte("hello"))] ^= 1
	case "cut":
		raw = raw[:len(raw)-10]
	case "swell", "bloat":
		n := map[string]int{"swell": 20 << 10, "bloat": 300 << 10}[how]
		i := bytes.IndexByte(raw, '\n') + 2
		raw = slices.Concat(raw[:i], []byte(`"x":"`), bytes.Repeat([]byte("x"), n), []byte(`",`), raw[i:])
	}
	return raw
}

// play runs a script and returns it with what its commands give.
func (w *world) play(script string) string {
	var out strings.Builder
	for _, text := range strings.SplitAfter(script, "\n") {
		switch {
		case strings.HasPrefix(text, "  "):
			continue
		case strings.TrimSpace(text) == "" || strings.HasPrefix(text, "#"):
			out.WriteString(text)
			continue
		}
		out.WriteString(text)
		if got := w.run(strings.TrimSpace(text)); got != "" {
			for _, g := range strings.Split(got, "\n") {
				out.WriteString("  " + g + "\n")
			}
		}
	}
	return out.String()
}

func scripts(t testing.TB) []string {
	t.Helper()
	names, err := filepath.Glob("testdata/authority/*.txt")
	if err != nil || len(names) == 0 {
		t.Fatal("there are no scripts", err)
	}
	return names
}

// TestWhoMaySayWhat plays the scripts of testdata/authority.
func TestWhoMaySayWhat(t *testing.T) {
	for _, name := range scripts(t) {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			b, err := os.ReadFile(name)
			ok(t, err)
			got := newWorld(t).play(string(b))
			if *rewrite {
				ok(t, os.WriteFile(name, []byte(got), 0o644))
			} else if got != string(b) {
				t.Errorf("the script gives\n%s", got)
			}
		})
	}
}
