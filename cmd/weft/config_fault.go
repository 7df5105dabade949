package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"weft/contract"
)

// unknownVariables finds WEFT_* variables that look like a misspelt setting.
// Others are left alone: a folder's ${VAR} may be called WEFT_something too.
func unknownVariables(env environment) []contract.Fault {
	var known []string
	for _, o := range options {
		known = append(known, o.env())
	}
	for _, v := range clientVariables {
		known = append(known, v.name)
	}
	var faults []contract.Fault
	for _, name := range env.names() {
		if !strings.HasPrefix(name, "WEFT_") || slices.Contains(known, name) {
			continue
		}
		if near := nearest(strings.TrimPrefix(name, "WEFT_"), trimAll(known, "WEFT_")); near != "" {
			f := configFault(name, 0, 0, "config-unknown", "there is no such variable")
			f.Hint = "did you mean WEFT_" + near + "?"
			faults = append(faults, f)
		}
	}
	return faults
}

func trimAll(words []string, prefix string) []string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = strings.TrimPrefix(w, prefix)
	}
	return out
}

func configFault(place string, line, column int, rule, message string) contract.Fault {
	return contract.Fault{File: place, Line: line, Column: column, Rule: rule, Severity: contract.FaultError, Message: message}
}

// yamlFault turns the parser's "yaml: line 3: …" into a fault at its line.
func yamlFault(path string, err error) contract.Fault {
	line, text := 0, strings.TrimPrefix(err.Error(), "yaml: ")
	if rest, ok := strings.CutPrefix(text, "line "); ok {
		if n, msg, ok := strings.Cut(rest, ": "); ok {
			if _, err := fmt.Sscanf(n, "%d", &line); err == nil {
				text = msg
			}
		}
	}
	return configFault(path, line, 0, "config-yaml", "it is no YAML: "+oneLine(text, 160))
}

// readBounded reads a whole file of at most limit bytes.
func readBounded(path string, limit int64) ([]byte, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", path)
	}
	if st.Size() > limit {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, limit)
	}
	return os.ReadFile(path)
}
