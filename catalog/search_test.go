package catalog

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
	"golang.org/x/tools/txtar"

	"weft"
	"weft/run"
)

var update = flag.Bool("update", false, "write the answers into the scripts")

// clock stands still until it is moved.
type clock struct{ at time.Time }

func (c *clock) Now() time.Time { return c.at }

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func testEnv() run.Env {
	e := run.Quiet()
	e.Clock = &clock{noon}
	return e
}

func open(t testing.TB, cfg Config) *Catalog {
	t.Helper()
	if cfg.Env.Log == nil {
		cfg.Env = testEnv()
	}
	c, err := Open(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// scripted is a product in a script: a card, and of its head what counts.
type scripted struct {
	State   weft.State `json:"state"`
	Failed  int        `json:"failed"`
	Passed  int        `json:"passed"`
	Checked string     `json:"checked"` // how long ago
	Away    bool       `json:"away"`    // its origin cannot be reached
}

// away are the nodes that cannot be reached.
type away map[weft.KeyID]bool

func (a away) Reached(k weft.KeyID) (bool, time.Time) { return !a[k], noon }

// readMesh reads the products of a script.
func readMesh(t *testing.T, text []byte) (cards []*weft.Card, heads []*weft.CardHead, gone away) {
	t.Helper()
	var list []map[string]any
	if err := yaml.Unmarshal(text, &list); err != nil {
		t.Fatal(err)
	}
	gone = away{}
	for i, m := range list {
		b, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		s, card := scripted{State: weft.StateFresh, Passed: 3}, &weft.Card{Life: weft.LifeActive}
		for _, v := range []any{&s, card} {
			if err := json.Unmarshal(b, v); err != nil {
				t.Fatal(err)
			}
		}
		card.Origin = weft.KeyID{byte(i + 1)}
		gone[card.Origin] = s.Away
		cards = append(cards, card)
		if s.State == "none" {
			heads = append(heads, nil)
			continue
		}
		h := &weft.CardHead{State: s.State, Failed: s.Failed, Passed: s.Passed, Checked: noon, Origin: card.Origin}
		if s.Checked != "" {
			d, err := time.ParseDuration(s.Checked)
			if err != nil {
				t.Fatal(err)
			}
			h.Checked = noon.Add(-d)
		}
		h.Product = card.Product
		heads = append(heads, h)
	}
	return cards, heads, gone
}

// readQuery reads "words domain:a tag:b": filters are as in the question's fields.
func readQuery(line string) (q Query, why bool) {
	var words []string
	for w := range strings.SplitSeq(line, " ") {
		k, v, ok := strings.Cut(w, ":")
		v = strings.ReplaceAll(v, "_", " ")
		to := map[string]*[]string{"domain": &q.Domains, "tag": &q.Tags, "class": &q.Classifications, "port": &q.PortTypes, "state": &q.States, "life": &q.Lives}[k]
		switch {
		case w == "why:":
			why = true
		case ok && to != nil:
			*to = append(*to, v)
		default:
			words = append(words, w)
		}
	}
	q.Text = strings.Join(words, " ")
	return q, why
}

// marked writes a match with its marks in brackets.
func marked(m Match) string {
	var b strings.Builder
	end := 0
	for _, k := range m.Marks {
		fmt.Fprintf(&b, "%s[%s]", m.Text[end:k[0]], m.Text[k[0]:k[1]])
		end = k[1]
	}
	b.WriteString(m.Text[end:])
	where := m.Field
	if m.Where != "" {
		where += " of " + m.Where
	}
	return where + ": " + b.String()
}

func answer(t *testing.T, c *Catalog, line string) string {
	t.Helper()
	q, why := readQuery(line)
	r, err := c.Search(context.Background(), q)
	if err != nil {
		return "error: " + err.Error() + "\n"
	}
	var b strings.Builder
	for _, s := range r.Corrections {
		fmt.Fprintf(&b, "did you mean: %s\n", s)
	}
	if r.Total == 0 {
		b.WriteString("nothing\n")
	}
	for _, h := range r.Hits {
		fmt.Fprintf(&b, "%6.2f %s\n", h.Score, h.Entry.Card.Product)
		for _, m := range h.Why {
			if why {
				fmt.Fprintf(&b, "         %s\n", marked(m))
			}
		}
	}
	return b.String()
}

// TestSearchScripts answers the questions of testdata/search: "? words", then the
// products that are found with their scores, the best first. "why:" asks for the
// places as well.
func TestSearchScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/search/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts: ", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			ar, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			cards, heads, gone := readMesh(t, ar.Files[0].Data)
			c := open(t, Config{Reach: gone})
			for i := range cards {
				if err := c.Put(cards[i], heads[i]); err != nil {
					t.Fatal(err)
				}
			}
			c.flush()
			var b strings.Builder
			for line := range strings.Lines(string(ar.Files[1].Data)) {
				switch {
				case strings.HasPrefix(line, "? "):
					b.WriteString(line + answer(t, c, strings.TrimSpace(line[2:])))
				case strings.HasPrefix(line, "#"), line == "\n":
					b.WriteString(line)
				}
			}
			if got := b.String(); got != string(ar.Files[1].Data) {
				if !*update {
					t.Fatalf("got\n%s", got)
				}
				ar.Files[1].Data = []byte(got)
				if err := os.WriteFile(file, txtar.Format(ar), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}
