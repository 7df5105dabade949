package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"pgregory.net/rapid"
)

// TestDefaults holds that every default is a legal value.
func TestDefaults(t *testing.T) {
	s := defaults()
	if s.Listen != "127.0.0.1:7070" || s.QueryDeadline != 5*time.Minute {
		t.Fatalf("defaults are %+v", s)
	}
	seen := map[string]bool{}
	for _, o := range options {
		if seen[o.key] {
			t.Errorf("%s is there twice", o.key)
		}
		seen[o.key] = true
		if !strings.HasSuffix(o.text, ".") || o.kind == "" {
			t.Errorf("%s is not described in a sentence with a kind of value", o.key)
		}
	}
}

func load(t *testing.T, yaml string, env map[string]string, args ...string) (settings, []string) {
	t.Helper()
	dir := t.TempDir()
	if yaml != "" {
		if err := os.WriteFile(filepath.Join(dir, configFile), []byte(yaml), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	set := pflag.NewFlagSet("test", pflag.ContinueOnError)
	addFlags(set)
	if err := set.Parse(args); err != nil {
		t.Fatal(err)
	}
	s, faults := loadSettings(dir, set, environment{process: env})
	var texts []string
	for _, f := range faults {
		f.File = strings.TrimPrefix(f.File, dir+"/")
		texts = append(texts, strings.TrimSpace(place(f)+": "+f.Message+" ["+f.Rule+"] "+f.Hint))
	}
	return s, texts
}

func TestPrecedence(t *testing.T) {
	yaml := "listen: 127.0.0.1:1\nenv: file\nquery:\n  memory: 1GiB\n  deadline: 1m\nhosts: [a.example, b.example]\n"
	env := map[string]string{"WEFT_LISTEN": "127.0.0.1:2", "WEFT_ENV": "variable", "WEFT_QUERY_DEADLINE": "2m"}
	s, faults := load(t, yaml, env, "--listen", "127.0.0.1:3")
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	for _, c := range []struct{ name, got, want string }{
		{"listen", s.Listen, "127.0.0.1:3"},
		{"env", s.Env, "variable"},
		{"query.deadline", s.QueryDeadline.String(), "2m0s"},
		{"hosts", strings.Join(s.Hosts, " "), "a.example b.example"},
		{"from listen", s.from["listen"], "--listen"},
		{"from env", s.from["env"], "WEFT_ENV"},
	} {
		if c.got != c.want {
			t.Errorf("%s is %q and should be %q", c.name, c.got, c.want)
		}
	}
	if s.QueryMemory != 1<<30 {
		t.Errorf("query.memory is %d", s.QueryMemory)
	}
	if !strings.HasSuffix(s.from["query.memory"], "weft.yaml:4") {
		t.Errorf("query.memory is from %s", s.from["query.memory"])
	}
}

func TestConfigFaults(t *testing.T) {
	for _, c := range []struct {
		name, yaml string
		env        map[string]string
		want       []string
	}{
		{"unknown key", "listne: x\n", nil, []string{"weft.yaml:1:1: there is no setting listne [config-unknown] did you mean listen?"}},
		{"unknown nested key", "query:\n  memry: 1GB\n", nil, []string{"weft.yaml:2:3: there is no setting query.memry [config-unknown] did you mean query.memory?"}},
		{"several", "domain: Sales\nlisten: here\nquery: {deadline: soon}\n", nil, []string{
			`weft.yaml:1:9: domain: check the name Sales: a name starts with a small letter and has at most 63 small letters, digits and _ [config-value]`,
			`weft.yaml:2:9: listen: "here" is no address:port [config-value]`,
			`weft.yaml:3:19: query.deadline: "soon" is no duration: write it like 30s or 5m [config-value]`,
		}},
		{"twice", "env: a\nenv: b\n", nil, []string{"weft.yaml:2:1: env is given twice [config-duplicate] keep one of them"}},
		{"a group as a value", "query: 12\n", nil, []string{"weft.yaml:1:8: settings are expected here [config-type] write it as key: value"}},
		{"a list as a value", "env: [a, b]\n", nil, []string{"weft.yaml:1:6: env is one value, not a list [config-type]"}},
		{"no mapping", "- a\n", nil, []string{"weft.yaml:1:1: settings are expected here [config-type] write it as key: value"}},
		{"no YAML", "env: [\n", nil, []string{"weft.yaml:1: it is no YAML: did not find expected node content [config-yaml]"}},
		{"half of TLS", "tls: {cert: a.pem}\n", nil, []string{"weft.yaml:1: tls.cert is given without tls.key [config-tls] give both, or neither to listen on loopback only"}},
		{"variable", "", map[string]string{"WEFT_QUERY_THREADS": "many", "WEFT_LISTN": "x", "WEFT_SHOP_PASSWORD": "x"}, []string{
			`WEFT_QUERY_THREADS: "many" is no whole number [config-value]`,
			`WEFT_LISTN: there is no such variable [config-unknown] did you mean WEFT_LISTEN?`,
		}},
		{"empty", "# nothing\n", nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, got := load(t, c.yaml, c.env)
			if strings.Join(got, "\n") != strings.Join(c.want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}

// FuzzConfig holds that no file of settings makes the reader panic.
func FuzzConfig(f *testing.F) {
	f.Add("listen: 127.0.0.1:1\nquery: {memory: 1GB}\n")
	f.Add("a: &a [*a]\n")
	f.Add("? {}\n: x\n")
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(t.TempDir(), configFile)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s := defaults()
		readConfigFile(path, &s)
	})
}

func TestDotenv(t *testing.T) {
	vars, err := parseDotenv("\uFEFF# a comment\nA=1\nexport B = two words # and a comment\nC=\"a # b\" # c\nD='$x'\nE=\n\r\nF=a#b\r\n")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"A": "1", "B": "two words", "C": "a # b", "D": "$x", "E": "", "F": "a#b"}
	for k, v := range want {
		if vars[k] != v {
			t.Errorf("%s is %q and should be %q", k, vars[k], v)
		}
	}
	if len(vars) != len(want) {
		t.Errorf("there are %d variables: %v", len(vars), vars)
	}
	for text, want := range map[string]string{
		"A=1\nsecret words": "line 2 is not NAME=value",
		"A=\"secret":        "line 1: the quote that starts A does not end",
		"1A=secret":         "line 1 is not NAME=value",
	} {
		_, err := parseDotenv(text)
		if err == nil || err.Error() != want {
			t.Errorf("%q gives %v and should give %s", text, err, want)
		}
	}
}

// FuzzDotenv holds that an error never quotes the line, which is a secret.
func FuzzDotenv(f *testing.F) {
	f.Add("A=1")
	f.Add("A='x")
	f.Fuzz(func(t *testing.T, text string) {
		const secret = "s3cr3t-s3cr3t"
		if _, err := parseDotenv(text + "\nKEY=\"" + secret); err != nil && strings.Contains(err.Error(), secret) {
			t.Fatalf("the secret is in %q", err)
		}
	})
}

func TestDotenvFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, ".env")
	if err := os.WriteFile(path, []byte("A=1\nB=2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env, err := environment{process: map[string]string{"B": "process"}}.withFile(dir)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"A": "1", "B": "process", "C": ""} {
		if got, _ := env.secret(name); got != want {
			t.Errorf("%s is %q and should be %q", name, got, want)
		}
	}
	if _, ok := env.lookup("A"); ok {
		t.Error("a secret of .env is seen as a setting")
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := env.withFile(dir); err == nil || !strings.Contains(err.Error(), "others on this machine may read it (mode 0640)") {
		t.Errorf("a file that the group reads gives %v", err)
	}
}

func TestNearest(t *testing.T) {
	words := []string{"status", "show", "query", "quarantine", "retire"}
	for w, want := range map[string]string{
		"staus": "status", "sttaus": "status", "qery": "query", "quarantene": "quarantine", "Status": "status", "xyz": "", "s": "",
	} {
		if got := nearest(w, words); got != want {
			t.Errorf("%q is taken for %q and should be for %q", w, got, want)
		}
	}
}

// TestDistance holds the metric's laws.
func TestDistance(t *testing.T) {
	word := rapid.StringMatching(`[a-d]{0,8}`)
	rapid.Check(t, func(t *rapid.T) {
		a, b := word.Draw(t, "a"), word.Draw(t, "b")
		d := distance(a, b)
		switch {
		case d != distance(b, a):
			t.Fatal("it is not symmetric")
		case (d == 0) != (a == b):
			t.Fatal("it is 0 for other words, or not 0 for the same")
		case d > max(len(a), len(b)):
			t.Fatal("it is more than writing the word anew")
		}
	})
}
