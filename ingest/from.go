package ingest

import (
	"net/url"
	"path"
	"path/filepath"
	"strings"

	"weft"
	"weft/contract"
)

// Origin is what --from names: a place and the one table to look at.
type Origin struct {
	Server contract.Server
	Table  *contract.Table
	// Vars are credentials that stood in the text, by the variable that Server now
	// names instead. They are for the environment and for no file.
	Vars map[string]string
}

// ParseFrom reads what --from of `weft product new` may be: a path or glob
// (relative ones are below dir), an http or https address, or
// postgres://host/database?table=schema.table (also postgres://…/database/schema.table;
// sslmode and sslrootcert as everywhere).
// product names the variables that credentials move to.
func ParseFrom(text, dir string, product weft.Name) (*Origin, error) {
	scheme, _, ok := strings.Cut(text, "://")
	switch {
	case !ok:
		return fromPath(text, dir)
	case scheme == "http" || scheme == "https":
		return fromWeb(text, product)
	case scheme == "postgres" || scheme == "postgresql":
		return fromPostgres(text, dir, product)
	}
	return nil, weft.Errorf(weft.KindInvalid, "read the source", scheme+"://…", "this kind of source is not supported").
		WithHint("give a path, a glob, an http(s) address or postgres://host/database?table=schema.table")
}

func fromPath(text, dir string) (*Origin, error) {
	if text == "" {
		return nil, weft.Errorf(weft.KindInvalid, "read the source", "", "the path is empty")
	}
	if !filepath.IsAbs(text) {
		text = filepath.Join(dir, text)
	}
	return &Origin{Server: contract.Server{Name: "files", Type: "local", Path: text, Mode: contract.ModeSnapshot}, Table: tableFor(filepath.ToSlash(text))}, nil
}

// tableFor names a table by a path: its base name without endings, or the folder
// where the base name is only a pattern.
func tableFor(p string) *contract.Table {
	for ; ; p = path.Dir(p) {
		base, _, _ := strings.Cut(path.Base(p), ".")
		if name := strings.Trim(base, "*?_-"); name != "" && !strings.ContainsAny(name, "*?[{") {
			return &contract.Table{Name: weft.SuggestName(name)}
		}
		if path.Dir(p) == p {
			return &contract.Table{Name: "rows"}
		}
	}
}

// credentials moves user and password of an address into variables.
func (o *Origin) credentials(u *url.URL, product weft.Name) {
	if u.User == nil {
		return
	}
	prefix := strings.ToUpper(product.Product)
	if prefix == "" {
		prefix = "SOURCE"
	}
	put := func(value, suffix string) string {
		if value == "" || strings.HasPrefix(value, "${") && strings.HasSuffix(value, "}") {
			return value
		}
		if o.Vars == nil {
			o.Vars = map[string]string{}
		}
		o.Vars[prefix+suffix] = value
		return "${" + prefix + suffix + "}"
	}
	o.Server.User = put(u.User.Username(), "_SOURCE_USER")
	password, _ := u.User.Password()
	o.Server.Password = put(password, "_SOURCE_PASSWORD")
	u.User = nil
}

// parseAddress is url.Parse without the text in its errors: it may hold a
// password. ${VAR} in the place of credentials is kept.
func parseAddress(text string) (*url.URL, error) {
	u, err := url.Parse(strings.NewReplacer("${", "$%7B", "}", "%7D").Replace(text))
	if err != nil || u.Host == "" {
		scheme, _, _ := strings.Cut(text, "://")
		return nil, weft.Errorf(weft.KindInvalid, "read the source", scheme+"://…", "it is not a whole address").
			WithHint("characters like @ / : # in a user or password are written %%40 %%2F %%3A %%23")
	}
	return u, nil
}

func fromWeb(text string, product weft.Name) (*Origin, error) {
	u, err := parseAddress(text)
	if err != nil {
		return nil, err
	}
	o := &Origin{Server: contract.Server{Name: "web", Type: "api", Mode: contract.ModeSnapshot}, Table: tableFor(u.Path)}
	o.credentials(u, product)
	o.Server.URL = strings.NewReplacer("$%7B", "${", "%7D", "}").Replace(u.String())
	return o, nil
}

func fromPostgres(text, dir string, product weft.Name) (*Origin, error) {
	u, err := parseAddress(text)
	if err != nil {
		return nil, err
	}
	parts := strings.SplitN(strings.Trim(u.Path, "/"), "/", 2)
	table := u.Query().Get("table")
	if table == "" && len(parts) == 2 {
		table = parts[1]
	}
	if parts[0] == "" || table == "" {
		return nil, weft.Errorf(weft.KindInvalid, "read the source", u.Scheme+"://"+u.Host, "the database or the table is missing").
			WithHint("write postgres://host/database?table=schema.table")
	}
	schema := "public"
	if s, t, ok := strings.Cut(table, "."); ok {
		schema, table = s, t
	}
	host := u.Query().Get("host") // a unix socket's folder does not fit into the address
	if host == "" {
		host = u.Hostname()
	}
	o := &Origin{
		Server: contract.Server{Name: "db", Type: "postgres", Host: host, Port: u.Port(), Database: parts[0], Schema: schema, Mode: contract.ModeSnapshot},
		Table:  &contract.Table{Name: weft.SuggestName(table)},
	}
	if o.Table.Name != table {
		o.Table.PhysicalName = table
	}
	switch mode := u.Query().Get("sslmode"); mode {
	case "", "allow", "prefer": // what is not sure is left to the default
	case "disable", "require", "verify-ca", "verify-full":
		o.Server.TLS = mode
	default:
		return nil, weft.Errorf(weft.KindInvalid, "read the source", u.Scheme+"://"+u.Host, "sslmode is none that PostgreSQL knows").
			WithHint("known: disable, require, verify-ca, verify-full")
	}
	if root := u.Query().Get("sslrootcert"); root != "" && root != "system" && !filepath.IsAbs(root) {
		o.Server.TLSRoot = filepath.Join(dir, root) // the folder may move, the authorities stay
	} else if root != "system" {
		o.Server.TLSRoot = root
	}
	o.credentials(u, product)
	return o, nil
}
