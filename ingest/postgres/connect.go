package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"weft"
	"weft/ingest"
)

// connect opens the server's database. What the server does not say comes from
// PGUSER, PGPASSWORD, PGSSLMODE and PGSSLROOTCERT, as for every tool of
// PostgreSQL; how it is protected, tlsWords decides. No error holds the password.
func connect(ctx context.Context, r ingest.Request) (*pgx.Conn, error) {
	s := r.Server
	var words []string
	set := func(name, value, variable string) error {
		v, err := r.Expand(value)
		if err != nil {
			return err
		}
		if v == "" && variable != "" && r.Lookup != nil {
			v, _ = r.Lookup(variable)
		}
		if v != "" {
			words = append(words, name+"='"+strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(v)+"'")
		}
		return nil
	}
	if s.Host == "" || s.Database == "" {
		return nil, weft.Errorf(weft.KindInvalid, "read the source", r.Where(), "server %q needs host and database", s.Name)
	}
	host, err := r.Expand(s.Host)
	if err != nil {
		return nil, err
	}
	mode, root, err := tlsWords(r, host)
	if err != nil {
		return nil, err
	}
	if root != "" {
		if _, err := os.ReadFile(root); err != nil {
			return nil, noRoot(r, root, err)
		}
	}
	for _, p := range [][3]string{
		{"host", s.Host, ""},
		{"port", s.Port, "PGPORT"},
		{"dbname", s.Database, ""},
		{"user", s.User, "PGUSER"},
		{"password", s.Password, "PGPASSWORD"},
		{"sslmode", mode, ""},
		{"sslrootcert", root, ""},
	} {
		if err := set(p[0], p[1], p[2]); err != nil {
			return nil, err
		}
	}
	cfg, err := pgx.ParseConfig(strings.Join(words, " "))
	if err != nil {
		return nil, weft.Errorf(weft.KindInvalid, "read the source", r.Where(), "the settings of server %q are not ones to connect with", s.Name).
			WithHint("look at host, port, database, weftUser, weftTLS and weftTLSRoot (or PGSSLMODE and PGSSLROOTCERT)")
	}
	if _, ok := cfg.RuntimeParams["application_name"]; !ok {
		cfg.RuntimeParams["application_name"] = "weft " + r.Product.String()
	}
	cfg.RuntimeParams["timezone"] = "UTC"
	cfg.RuntimeParams["datestyle"] = "ISO"
	cfg.ConnectTimeout = 15 * time.Second
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, fault(ctx, r, "connect", err)
	}
	return conn, nil
}

// fault says what a failure of the server means.
func fault(ctx context.Context, r ingest.Request, doing string, err error) error {
	var own *weft.Error
	if errors.As(err, &own) {
		return err
	}
	if ctx.Err() != nil {
		return weft.Errorf(weft.KindCancelled, "read the source", r.Where(), "%w", ctx.Err())
	}
	server := fmt.Sprintf("server %q", r.Server.Name)
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		text, hint := network(err), "nothing was staged; the next refresh tries again"
		if h := tlsHint(text); h != "" {
			hint = h
		}
		return weft.Errorf(weft.KindUnavailable, "read the source", r.Where(), "%s went away or cannot be reached (%s): %s", server, doing, text).
			WithHint("%s", hint)
	}
	e := weft.Errorf(weft.KindUnavailable, "read the source", r.Where(), "%s refused to %s: %s (%s)", server, doing, pg.Message, pg.Code)
	switch {
	case strings.HasPrefix(pg.Code, "28"):
		e.Kind = weft.KindDenied
		return e.WithHint("look at weftUser and weftPassword, or PGUSER and PGPASSWORD")
	case pg.Code == "42501":
		e.Kind = weft.KindDenied
		return e.WithHint("grant SELECT on the table to the node's user")
	case pg.Code == "3D000":
		e.Kind = weft.KindInvalid
		return e.WithHint("look at the server's database")
	}
	return e.WithHint("nothing was staged; the next refresh tries again")
}

// network is what went wrong below, without the settings of the connection.
func network(err error) string {
	var c *pgconn.ConnectError
	if errors.As(err, &c) {
		if u := errors.Unwrap(c); u != nil {
			err = u
		}
	}
	s, _, _ := strings.Cut(err.Error(), "\n")
	return s
}
