package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"weft/contract"
)

// configFile is the name of the file of settings.
const configFile = "weft.yaml"

// maxConfig is the most bytes that are read of it.
const maxConfig = 1 << 20

// addFlags gives set a flag for each option.
func addFlags(set *pflag.FlagSet) {
	for _, o := range options {
		text := strings.ReplaceAll(o.text, "`", "")
		if o.value != "" && o.value != "0" {
			text = strings.TrimSuffix(text, ".") + " (default " + o.value + ")"
		}
		set.Var(&optionFlag{o: o}, o.flag(), text)
	}
}

// noFlags is the set of flags of a command that takes no settings.
func noFlags() *pflag.FlagSet { return pflag.NewFlagSet("", pflag.ContinueOnError) }

// optionFlag keeps the text that the command line gives an option.
type optionFlag struct {
	o    option
	text string
}

func (f *optionFlag) String() string { return f.text }
func (f *optionFlag) Type() string   { return f.o.kind }

// Set checks the value at once, so that a bad flag is named before anything else
// happens.
func (f *optionFlag) Set(v string) error {
	f.text = v
	return f.o.set(&settings{}, v)
}

// loadSettings reads the settings for a node in dir: flags over WEFT_* variables
// over weft.yaml over defaults. All faults are returned, each with its place.
func loadSettings(dir string, flags *pflag.FlagSet, env environment) (settings, []contract.Fault) {
	s := defaults()
	faults := readConfigFile(filepath.Join(dir, configFile), &s)
	for _, o := range options {
		v, ok := env.lookup(o.env())
		if !ok || v == "" {
			continue
		}
		if err := o.take(&s, v); err != nil {
			faults = append(faults, configFault(o.env(), 0, 0, "config-value", err.Error()))
			continue
		}
		s.from[o.key] = o.env()
	}
	faults = append(faults, unknownVariables(env)...)
	flags.Visit(func(f *pflag.Flag) {
		if of, ok := f.Value.(*optionFlag); ok {
			if err := of.o.take(&s, of.text); err == nil { // a bad one was refused when it was parsed
				s.from[of.o.key] = "--" + f.Name
			}
		}
	})
	return s, append(faults, s.validate()...)
}

// validate holds the settings against each other.
func (s settings) validate() []contract.Fault {
	if (s.TLSCert == "") != (s.TLSKey == "") {
		set, missing := "tls.cert", "tls.key"
		if s.TLSCert == "" {
			set, missing = missing, set
		}
		f := configFault(s.from[set], 0, 0, "config-tls", set+" is given without "+missing)
		f.Hint = "give both, or neither to listen on loopback only"
		return []contract.Fault{f}
	}
	return nil
}

// readConfigFile fills s from the file, where there is one.
func readConfigFile(path string, s *settings) []contract.Fault {
	b, err := readBounded(path, maxConfig)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return []contract.Fault{configFault(path, 0, 0, "config-unreadable", err.Error())}
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(b, &doc); err != nil {
		return []contract.Fault{yamlFault(path, err)}
	}
	if len(doc.Content) == 0 {
		return nil
	}
	r := configReader{path: path, s: s, seen: map[string]bool{}}
	r.mapping("", doc.Content[0])
	return r.faults
}

// configReader walks the document and keeps what is wrong with it.
type configReader struct {
	path   string
	s      *settings
	seen   map[string]bool
	faults []contract.Fault
}

func (r *configReader) fault(n *yaml.Node, rule, hint, format string, args ...any) {
	f := configFault(r.path, n.Line, n.Column, rule, fmt.Sprintf(format, args...))
	f.Hint = hint
	r.faults = append(r.faults, f)
}

// mapping reads the keys below prefix.
func (r *configReader) mapping(prefix string, n *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		r.fault(n, "config-type", "write it as key: value", "settings are expected here")
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		path := prefix + key.Value
		if r.seen[path] {
			r.fault(key, "config-duplicate", "keep one of them", "%s is given twice", path)
			continue
		}
		r.seen[path] = true
		o, isOption := findOption(path)
		switch {
		case isOption:
			r.option(o, value)
		case isGroup(path):
			r.mapping(path+".", value)
		default:
			hint := "docs/configuration.md lists the settings"
			if near := nearest(path, optionKeys()); near != "" {
				hint = fmt.Sprintf("did you mean %s?", near)
			}
			r.fault(key, "config-unknown", hint, "there is no setting %s", path)
		}
	}
}

// option sets one option from its node.
func (r *configReader) option(o option, n *yaml.Node) {
	if o.kind == kindRules {
		r.rules(o, n)
		return
	}
	text := n.Value
	switch n.Kind {
	case yaml.ScalarNode:
		if n.Tag == "!!null" {
			return
		}
	case yaml.SequenceNode:
		if o.kind != kindNames {
			r.fault(n, "config-type", "", "%s is one value, not a list", o.key)
			return
		}
		var words []string
		for _, c := range n.Content {
			words = append(words, c.Value)
		}
		text = strings.Join(words, ",")
	default:
		r.fault(n, "config-type", "", "%s is one value", o.key)
		return
	}
	if err := o.take(r.s, text); err != nil {
		r.fault(n, "config-value", "", "%s: %s", o.key, err)
		return
	}
	r.s.from[o.key] = fmt.Sprintf("%s:%d", r.path, n.Line)
}

// rules sets the option that is a list of rules. What is wrong with them is shown
// where it stands.
func (r *configReader) rules(o option, n *yaml.Node) {
	_, faults := readBudgets(n)
	for _, f := range faults {
		r.fault(f.node, "config-value", f.hint, "%s", f.text)
	}
	text, err := yaml.Marshal(n)
	if len(faults) > 0 || err != nil {
		return
	}
	if err := o.take(r.s, string(text)); err != nil {
		r.fault(n, "config-value", "", "%s: %s", o.key, err)
		return
	}
	r.s.from[o.key] = fmt.Sprintf("%s:%d", r.path, n.Line)
}

func findOption(key string) (option, bool) {
	i := slices.IndexFunc(options, func(o option) bool { return o.key == key })
	if i < 0 {
		return option{}, false
	}
	return options[i], true
}

func isGroup(key string) bool {
	return slices.ContainsFunc(options, func(o option) bool { return strings.HasPrefix(o.key, key+".") })
}

func optionKeys() []string {
	var keys []string
	for _, o := range options {
		keys = append(keys, o.key)
	}
	return keys
}
