package contract

import (
	"net/url"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"weft"
)

// readServers reads the servers of a contract and looks for secrets in them.
func (r *reader) readServers(c *contractFile) {
	seen := map[string]*yaml.Node{}
	for _, n := range items(field(c.doc.root, "servers")) {
		if n.Kind != yaml.MappingNode {
			continue
		}
		r.secrets(c, n)
		s := r.readServer(c, n)
		if other := seen[s.Name]; other != nil && s.Name != "" {
			r.errorf(c.where(field(n, "server")), "duplicate-server", "give each server a name of its own", "server '%s' stands here a second time, first in line %d", clip(s.Name), other.Line)
		}
		seen[s.Name] = field(n, "server")
		c.Servers = append(c.Servers, s)
	}
}

func (r *reader) readServer(c *contractFile, n *yaml.Node) *Server {
	s := &Server{
		Name: text(n, "server"), Environment: text(n, "environment"), Type: text(n, "type"),
		Path: text(n, "path"), URL: text(n, "location"), Format: text(n, "format"), Host: text(n, "host"), Port: text(n, "port"),
		Database: text(n, "database"), Schema: text(n, "schema"), Delimiter: text(n, "delimiter"), Encoding: text(n, "encoding"),
		Mode: ModeSnapshot, Line: n.Line,
	}
	if s.Type == "postgresql" {
		s.Type = "postgres"
	}
	props := r.customs(n, onServer, c.shown)
	value := func(name string, into *string) {
		if p, ok := props[name]; ok {
			*into = p.value.Value
		}
	}
	value("weftUser", &s.User)
	value("weftPassword", &s.Password)
	value("weftTLS", &s.TLS)
	value("weftTLSRoot", &s.TLSRoot)
	value("weftFormat", &s.Format)
	value("weftDelimiter", &s.Delimiter)
	value("weftQuote", &s.Quote)
	value("weftEscape", &s.Escape)
	value("weftNull", &s.NullText)
	value("weftDateFormat", &s.DateFormat)
	value("weftEncoding", &s.Encoding)
	value("weftCursor", &s.Cursor)
	mode := string(s.Mode)
	value("weftMode", &mode)
	s.Mode = Mode(mode)
	if p, ok := props["weftHeader"]; ok {
		h := strings.EqualFold(p.value.Value, "true")
		s.Header = &h
	}
	if s.Delimiter == `\t` {
		s.Delimiter = "\t"
	}
	if p, ok := props["weftPassword"]; ok && !isVariable(s.Password) {
		r.secret(c, p.value, "weftPassword")
		s.Password = ""
	}
	return s
}

func (r *reader) secret(c *contractFile, n *yaml.Node, name string) {
	r.errorf(c.where(n), "secret-literal", "write ${VAR} here, set VAR in the environment or in .env, and change the secret: it has been in a file",
		"'%s' holds a secret as text", clip(name))
}

var secretName = regexp.MustCompile(`(?i)passw|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credential`)

// secrets looks through every value of a server: broken variables, and secrets
// that stand there as text. No value is ever shown.
func (r *reader) secrets(c *contractFile, n *yaml.Node) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if v.Kind != yaml.ScalarNode {
			continue
		}
		lit, _, err := literalPart(v.Value)
		switch {
		case err != nil && k.Value != "description":
			r.errorf(c.where(v), "variable", "write ${NAME}", "field '%s' holds a variable that cannot be read", clip(k.Value))
		case k.Value != "description" && userInfo(v.Value), secretName.MatchString(k.Value) && lit != "":
			r.secret(c, v, k.Value)
		}
	}
	for _, i := range items(field(n, "customProperties")) {
		name, v := text(i, "property"), field(i, "value")
		if v == nil || v.Kind != yaml.ScalarNode {
			continue
		}
		lit, _, err := literalPart(v.Value)
		if strings.HasPrefix(name, customPrefix) && err != nil {
			r.errorf(c.where(v), "variable", "write ${NAME}", "'%s' holds a variable that cannot be read", clip(name))
		}
		if name != "weftPassword" && secretName.MatchString(name) && lit != "" || userInfo(v.Value) {
			r.secret(c, v, name)
		}
	}
}

// userInfo reports whether s is an address with a password in it that is more
// than variables.
func userInfo(s string) bool {
	_, rest, ok := strings.Cut(s, "://")
	if !ok {
		return false
	}
	authority, _, _ := strings.Cut(rest, "/")
	user, _, ok := cutLast(authority, "@")
	if !ok {
		return false
	}
	_, password, ok := strings.Cut(user, ":")
	lit, _, err := literalPart(password)
	return ok && (lit != "" || err != nil)
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// serverTypes are the types of servers that sources can be read from.
var serverTypes = []string{"local", "postgres", "postgresql", "api"}

// checkInput holds the contract of a source against what reading it needs.
func (r *reader) checkInput(c *contractFile, in *Input) {
	if len(c.Servers) == 0 {
		r.errorf(c.where(keyOf(c.doc.root, "servers")), "server-missing", "add 'servers:' with the place of the source", "the contract of input port '%s' does not say where the data lives", clip(in.Name))
	}
	if len(c.Tables) == 0 {
		c.Tables = append(c.Tables, &Table{Name: in.Name, OnViolation: Refuse, QuarantineLimit: 0.01})
	}
	env := map[string]string{}
	for i, n := range items(field(c.doc.root, "servers")) {
		if i >= len(c.Servers) {
			break
		}
		s := c.Servers[i]
		if other, ok := env[s.Environment]; ok {
			r.errorf(c.where(n), "server-environment", "give each server an environment of its own", "servers '%s' and '%s' are both for environment '%s'", clip(other), clip(s.Name), clip(s.Environment))
		}
		env[s.Environment] = s.Name
		r.checkServer(c, s, n)
	}
}

func (r *reader) checkServer(c *contractFile, s *Server, n *yaml.Node) {
	if s.Type != "" && !slices.Contains(serverTypes, s.Type) {
		if odcs().objects["server:"+s.Type] == nil {
			return // said by the standard
		}
		r.warnf(c.where(field(n, "type")), "server-unsupported", "sources are read from: local, postgres, api", "sources of type '%s' are not read yet", clip(s.Type))
		return
	}
	if s.Type == "api" {
		if u, err := url.Parse(s.URL); s.URL != "" && !strings.HasPrefix(s.URL, "${") && (err != nil || u.Scheme != "http" && u.Scheme != "https") {
			r.errorf(c.where(field(n, "location")), "url", "write it like https://example.com/orders.csv", "the location of server '%s' is no http address", clip(s.Name))
		}
	}
	formats := []string{"csv", "json", "ndjson", "parquet"}
	if s.Format != "" && s.Type != "postgres" && !slices.Contains(formats, s.Format) && !isVariable(s.Format) {
		r.errorf(c.where(field(n, "format")), "server-format", didYouMean(s.Format, formats), "files of format '%s' are not read", clip(s.Format))
	}
	if len(c.Tables) > 1 && s.Type != "postgres" && !strings.Contains(s.Path+s.URL, "{table}") && s.Path+s.URL != "" {
		r.errorf(c.where(n), "server-table", "write {table} where its name stands in the path", "server '%s' has one path for %d tables", clip(s.Name), len(c.Tables))
	}
	if s.Type == "postgres" && (s.Mode == ModeAppend || s.Mode == ModeUpsert) && s.Cursor == "" {
		r.errorf(c.where(n), "mode", "add weftCursor with the column that grows, such as an id or a time of change", "mode %s of server '%s' needs to know where to read on", s.Mode, clip(s.Name))
	}
}

// Server returns the server of an environment. Without env it is the only one,
// else the one that names no environment; with env it is the one that names it,
// else the one that names none. No match is an error of KindInvalid.
func (c *Contract) Server(env string) (*Server, error) {
	var bare *Server
	var known []string
	for _, s := range c.Servers {
		if env != "" && s.Environment == env {
			return s, nil
		}
		if s.Environment == "" && bare == nil {
			bare = s
		}
		if s.Environment != "" {
			known = append(known, s.Environment)
		}
	}
	if env == "" && len(c.Servers) == 1 {
		return c.Servers[0], nil
	}
	if bare != nil {
		return bare, nil
	}
	e := weft.Errorf(weft.KindInvalid, "choose the server of", c.File, "no server is for environment %q", env)
	if env == "" {
		e.Message = "it has several servers and no environment was chosen"
	}
	if len(known) > 0 {
		return nil, e.WithHint("choose one with --env: %s", strings.Join(known, ", "))
	}
	return nil, e.WithHint("add a server to the contract")
}

// checkUpserts finds out whether rows that are merged have a key to merge by:
// that of the input table, or of the output table that it passes through to.
func (r *reader) checkUpserts() {
	keyed := map[string]bool{} // port.table
	for _, t := range r.folder.Tables() {
		if in, table, err := r.folder.Source(t); err == nil && t.SQL == "" && len(t.Key) > 0 {
			keyed[in.Name+"."+table] = true
		}
	}
	for _, in := range r.folder.Inputs {
		if in.Contract == nil {
			continue
		}
		c := r.fileOf(in.Contract)
		for i, n := range items(field(c.doc.root, "servers")) {
			if i >= len(c.Servers) || c.Servers[i].Mode != ModeUpsert {
				continue
			}
			for _, t := range c.Tables {
				if len(t.Key) == 0 && !keyed[in.Name+"."+t.Name] {
					r.errorf(c.where(n), "mode", "mark the key with 'primaryKey: true' in the schema of this contract", "mode upsert of server '%s' needs the key of table '%s'", clip(c.Servers[i].Name), clip(t.Name))
				}
			}
		}
	}
}
