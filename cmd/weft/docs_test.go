package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

var update = flag.Bool("update", false, "write the generated pages of docs/ and the expected output of scripts anew")

// TestDocs holds the generated pages of docs/ against the code. Run it with
// -update to write them.
func TestDocs(t *testing.T) {
	for name, text := range map[string]string{
		"cli.md":           cliPage(),
		"configuration.md": configurationPage(),
	} {
		path := filepath.Join("..", "..", "docs", name)
		if *update {
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != text {
			t.Errorf("docs/%s is not what the code says: go test ./cmd/weft -run TestDocs -update", name)
		}
	}
}

func testApp(env ...string) *app {
	e := processEnvironment(env)
	return &app{env: e, in: strings.NewReader(""), out: newPrinter(&bytes.Buffer{}, e.lookup), err: newPrinter(&bytes.Buffer{}, e.lookup)}
}

const cliIntro = `# The command line

This page is written from the code by ` + "`go test ./cmd/weft -run TestDocs -update`" + `.

Commands speak to a running node: the one that ` + "`--node`" + ` or ` + "`WEFT_NODE`" + ` names, or the local one, whose data folder
` + "`.weft`" + ` is in this folder or above it. Those that need none say so. Every list has ` + "`--format table|json`" + `. Long work shows
its progress on a terminal and prints plain lines elsewhere. Nothing asks a question where input is not a terminal. Colours are
shown on terminals only, and not with ` + "`NO_COLOR`" + `.

| exit code | means |
|---|---|
| 0 | done |
| 1 | the answer is no: faults were found (by lint, verify, history), data breaks its contract, a receipt is not valid |
| 2 | wrong usage, or it could not be done |
| 3 | the change breaks somebody |
| 4 | refused by a policy, a limit or a budget |
| 130 | interrupted |
`

// cliPage is docs/cli.md.
func cliPage() string {
	var b strings.Builder
	b.WriteString(cliIntro)
	root := testApp().root()
	for _, g := range root.Groups() {
		fmt.Fprintf(&b, "\n## %s\n", strings.TrimSuffix(g.Title, ":"))
		for _, c := range root.Commands() {
			if c.GroupID == g.ID && c.Name() != "help" {
				commandSection(&b, c)
			}
		}
	}
	return b.String()
}

func commandSection(b *strings.Builder, c *cobra.Command) {
	if c.HasSubCommands() {
		if c.Name() == "completion" {
			fmt.Fprintf(b, "\n### %s bash|zsh|fish|powershell\n\n%s. `weft completion bash --help` says how to load it.\n", c.CommandPath(), c.Short)
			return
		}
		if _, ok := c.Annotations[alone]; ok {
			commandText(b, c)
		}
		for _, sub := range c.Commands() {
			commandSection(b, sub)
		}
		return
	}
	commandText(b, c)
}

// commandText describes what one command does by itself.
func commandText(b *strings.Builder, c *cobra.Command) {
	use := strings.TrimSuffix(c.UseLine(), " [flags]")
	fmt.Fprintf(b, "\n### %s\n\n", use)
	text := strings.TrimSpace(c.Long)
	if text == "" {
		text = c.Short + "."
	}
	b.WriteString(text + "\n")
	if c.Example != "" {
		fmt.Fprintf(b, "\n```sh\n%s\n```\n", dedent(c.Example))
	}
	flagTable(b, c)
}

func dedent(s string) string {
	var out []string
	for line := range strings.SplitSeq(s, "\n") {
		out = append(out, strings.TrimPrefix(line, "  "))
	}
	return strings.Join(out, "\n")
}

// flagTable lists the flags of a command that are its own; the settings of a
// node are on their own page.
func flagTable(b *strings.Builder, c *cobra.Command) {
	rows, settings := "", false
	c.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
		if _, ok := f.Value.(*optionFlag); ok {
			settings = true
			return
		}
		if f.Name == "help" || f.Hidden {
			return
		}
		name := "`--" + f.Name + "`"
		if f.Shorthand != "" {
			name = "`-" + f.Shorthand + "`, " + name
		}
		kind := strings.ReplaceAll(f.Value.Type(), "|", `\|`)
		if kind == "bool" {
			kind = ""
		}
		def := f.DefValue
		if def == "false" || def == "[]" || def == "0" || def == "0s" {
			def = ""
		}
		rows += fmt.Sprintf("| %s | %s | %s | %s |\n", name, kind, strings.Trim(def, "[]"), f.Usage)
	})
	if rows != "" {
		b.WriteString("\n| flag | value | default | |\n|---|---|---|---|\n" + rows)
	}
	if settings {
		b.WriteString("\nIt takes every setting of [configuration.md](configuration.md) as a flag too.\n")
	}
}

func restartWords(o option) string {
	if o.restart {
		return " *Restart.*"
	}
	return ""
}

// configurationPage is docs/configuration.md.
func configurationPage() string {
	var b strings.Builder
	b.WriteString(`# Configuration of a node

This page is written from the code by ` + "`go test ./cmd/weft -run TestDocs -update`" + `.

` + "`weft up`" + ` and ` + "`weft demo`" + ` take settings from flags, then from variables of the environment, then from ` + "`weft.yaml`" + ` in
the node's folder. An unknown setting is a fault, shown with its line and what was probably meant, and the node does not start.
` + "`weft reload`" + ` makes a running node read them again; those marked *Restart* take effect with the next start.

| in weft.yaml | flag | variable | value | default | |
|---|---|---|---|---|---|
`)
	for _, o := range options {
		def := o.value
		if def != "" {
			def = "`" + def + "`"
		}
		fmt.Fprintf(&b, "| `%s` | `--%s` | `%s` | %s | %s | %s |\n", o.key, o.flag(), o.env(), strings.ReplaceAll(o.kind, "|", `\|`), def, o.text+restartWords(o))
	}
	b.WriteString(`
Dots are levels of the file; a list may be written as one or separated by commas:

` + "```yaml" + `
domain: sales
listen: 127.0.0.1:7070
env: dev
hosts: [weft.example.com]
query:
  memory: 4GiB
  deadline: 2m
log: {level: info, format: json}
` + "```" + `

## Budgets

` + "`budgets`" + ` is a list of rules. A question that one of them has no room for is refused before it runs, with exit code 4
([budgets.md](budgets.md)).

` + "```yaml" + `
budgets:
  - {for: "*", per: 1h, rows: 50M, seconds: 10m, concurrent: 4}
  - {name: partners, for: "node:*", per: 1d, bytes: 20GiB, products: [sales.*]}
` + "```" + `

| field | value | |
|---|---|---|
`)
	for _, f := range ruleFields {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", f.key, f.kind, f.text)
	}
	b.WriteString(`
## Variables that commands read

| variable | |
|---|---|
`)
	for _, v := range clientVariables {
		fmt.Fprintf(&b, "| `%s` | %s |\n", v.name, v.text)
	}
	b.WriteString(`
## Secrets

A product folder names secrets as ` + "`${VAR}`" + `. They are taken from the environment of the node, then from ` + "`.env`" + ` beside
` + "`weft.yaml`" + `, which only its owner may read (mode 0600; any other is refused). A line is ` + "`NAME=value`" + `, ` + "`NAME=\"value\"`" + ` or
a comment after ` + "`#`" + `. Settings are not read from that file.
`)
	return b.String()
}
