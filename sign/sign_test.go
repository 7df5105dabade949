package sign

import (
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestCanonicalIsOneForm(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{`{"b": 1, "a": {"d":2,"c":"<&>"}}`, `{"a":{"c":"<&>","d":2},"b":1}`},
		{`[12345678901234567890, 1.50, null]`, `[12345678901234567890,1.50,null]`},
	} {
		b, err := Canonical(json.RawMessage(c.in))
		if err != nil || string(b) != c.want {
			t.Errorf("%s gave %s, %v", c.in, b, err)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		m := rapid.MapOf(rapid.String(), rapid.Int64()).Draw(t, "m")
		once, err := Canonical(m)
		if err != nil {
			t.Fatal(err)
		}
		twice, err := Canonical(json.RawMessage(once))
		if err != nil || string(once) != string(twice) {
			t.Fatalf("%s became %s, %v", once, twice, err)
		}
	})
}

// TestCanonicalIsThatOfTheTree holds the short way against the way by a tree.
func TestCanonicalIsThatOfTheTree(t *testing.T) {
	var values *rapid.Generator[any]
	text := rapid.StringMatching(`[ -~]{0,5}|[a-z]{1,3}`)
	values = rapid.Custom(func(t *rapid.T) any {
		switch rapid.IntRange(0, 6).Draw(t, "kind") {
		case 0:
			return text.Draw(t, "text")
		case 1:
			return rapid.Int64().Draw(t, "number")
		case 2:
			return rapid.SampledFrom([]any{true, false, nil, 1.5e300, json.Number("1.50")}).Draw(t, "constant")
		case 3:
			return json.RawMessage(rapid.SampledFrom([]string{`{"b":1,"a":2}`, `{"a":1,"a":2}`, `"\u0041"`, ` [ 1 , "<&>  " ] `, `{}`, `[]`}).Draw(t, "raw"))
		case 4:
			return rapid.SliceOfN(values, 0, 3).Draw(t, "list")
		}
		return rapid.MapOfN(text, values, 0, 4).Draw(t, "object")
	})
	rapid.Check(t, func(t *rapid.T) {
		v := values.Draw(t, "v")
		got, err := Canonical(v)
		if err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if want, err := canonicalTree(b); err != nil || string(got) != string(want) {
			t.Fatalf("%s gave %s, by a tree %s, %v", b, got, want, err)
		}
	})
}

func TestDigestIsOverTheBytesAlone(t *testing.T) {
	a := Digest([]byte("ab"), []byte("c"))
	b, n, err := DigestReader(strings.NewReader("abc"))
	if a != b || n != 3 || err != nil {
		t.Fatal(a, b, n, err)
	}
	if a.String() != "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" {
		t.Fatal(a)
	}
}
