package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"weft"
)

// environment is the process's variables with those of a .env file behind them.
type environment struct {
	process map[string]string
	file    map[string]string // from .env; only for ${VAR} of folders, never for settings
}

// processEnvironment takes the variables as os.Environ gives them.
func processEnvironment(environ []string) environment {
	e := environment{process: make(map[string]string, len(environ))}
	for _, kv := range environ {
		if k, v, ok := strings.Cut(kv, "="); ok {
			e.process[k] = v
		}
	}
	return e
}

// lookup finds a variable of the process.
func (e environment) lookup(name string) (string, bool) {
	v, ok := e.process[name]
	return v, ok
}

// secret finds what ${name} stands for: the process's variable, then .env's.
func (e environment) secret(name string) (string, bool) {
	if v, ok := e.process[name]; ok {
		return v, true
	}
	v, ok := e.file[name]
	return v, ok
}

func (e environment) names() []string {
	names := make([]string, 0, len(e.process))
	for n := range e.process {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// withFile adds dir/.env, where there is one. A file that others may read is
// refused: it holds secrets.
func (e environment) withFile(dir string) (environment, error) {
	path := filepath.Join(dir, ".env")
	st, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return e, nil
	}
	if err != nil {
		return e, weft.Errorf(weft.KindInvalid, "read the secrets", path, "%w", err)
	}
	if st.Mode().Perm()&0o077 != 0 {
		return e, weft.Errorf(weft.KindDenied, "read the secrets", path, "others on this machine may read it (mode %04o)", st.Mode().Perm()).
			WithHint("chmod 600 %s", path)
	}
	b, err := readBounded(path, maxConfig)
	if err != nil {
		return e, weft.Errorf(weft.KindInvalid, "read the secrets", path, "%w", err)
	}
	e.file, err = parseDotenv(string(b))
	if err != nil {
		return e, weft.Errorf(weft.KindInvalid, "read the secrets", path, "%s", err).
			WithHint("each line is NAME=value, NAME=\"value\" or # a comment")
	}
	return e, nil
}

var variableRE = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// parseDotenv reads lines of NAME=value. It is our own because the libraries for
// it quote the line in their errors, and the line is a secret.
func parseDotenv(text string) (map[string]string, error) {
	vars := map[string]string{}
	for i, line := range strings.Split(strings.TrimPrefix(text, "\uFEFF"), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, ok := strings.Cut(strings.TrimPrefix(line, "export "), "=")
		name = strings.TrimSpace(name)
		if !ok || !variableRE.MatchString(name) {
			return nil, fmt.Errorf("line %d is not NAME=value", i+1)
		}
		value, ok = unquote(strings.TrimSpace(value))
		if !ok {
			return nil, fmt.Errorf("line %d: the quote that starts %s does not end", i+1, name)
		}
		vars[name] = value
	}
	return vars, nil
}

// unquote takes off a pair of quotes; after a value without them, " #" starts a
// comment.
func unquote(v string) (string, bool) {
	if v == "" {
		return v, true
	}
	if q := v[0]; q == '"' || q == '\'' {
		end := strings.LastIndexByte(v, q)
		if end == 0 {
			return "", false
		}
		if rest := strings.TrimSpace(v[end+1:]); rest != "" && !strings.HasPrefix(rest, "#") {
			return "", false
		}
		return v[1:end], true
	}
	if i := strings.Index(v, " #"); i >= 0 {
		v = strings.TrimSpace(v[:i])
	}
	return v, true
}
