package records

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"time"

	"weft"
)

// Token is what the books keep of an access token: never the token itself, only
// its SHA-256.
type Token struct {
	Name    string // unique
	Scopes  []string
	Domains []string // that it is for; none is the node's
	Created time.Time
	Expires time.Time // zero is never
	Used    time.Time // zero is not yet; kept to the minute
}

// PutToken records a token by the digest of its secret; KindConflict where the
// name is taken.
func (b *Books) PutToken(ctx context.Context, t Token, digest weft.Hash) error {
	_, err := b.db.ExecContext(ctx, `INSERT INTO token(name, digest, scopes, created, expires) VALUES (?,?,?,?,?)`,
		t.Name, digest[:], scopeText(t), t.Created.UnixMicro(), micro(t.Expires))
	if err != nil && strings.Contains(err.Error(), "UNIQUE constraint failed: token.name") {
		return weft.Errorf(weft.KindConflict, "make the token", t.Name, "there is one of that name").WithHint("revoke it first, or choose another name")
	}
	return wrap("record the token", err)
}

// FindToken returns the token with that digest, or KindNotFound.
func (b *Books) FindToken(ctx context.Context, digest weft.Hash) (Token, error) {
	t, err := scanToken(b.db.QueryRowContext(ctx, `SELECT name, scopes, created, expires, used FROM token WHERE digest=?`, digest[:]))
	if errors.Is(err, sql.ErrNoRows) {
		return Token{}, weft.Errorf(weft.KindNotFound, "find the token", "", "there is no such token")
	}
	return t, wrap("find the token", err)
}

// Tokens lists all tokens by name.
func (b *Books) Tokens(ctx context.Context) ([]Token, error) {
	rows, err := b.db.QueryContext(ctx, `SELECT name, scopes, created, expires, used FROM token ORDER BY name`)
	if err != nil {
		return nil, wrap("list the tokens", err)
	}
	defer func() { _ = rows.Close() }()
	var out []Token
	for rows.Next() {
		t, err := scanToken(rows)
		if err != nil {
			return nil, wrap("list the tokens", err)
		}
		out = append(out, t)
	}
	return out, wrap("list the tokens", rows.Err())
}

// UseToken notes when a token was last used.
func (b *Books) UseToken(ctx context.Context, name string, at time.Time) error {
	_, err := b.db.ExecContext(ctx, `UPDATE token SET used=? WHERE name=?`, at.UnixMicro(), name)
	return wrap("note the token's use", err)
}

// DeleteToken revokes a token; KindNotFound where there is none.
func (b *Books) DeleteToken(ctx context.Context, name string) error {
	r, err := b.db.ExecContext(ctx, `DELETE FROM token WHERE name=?`, name)
	if err != nil {
		return wrap("revoke the token", err)
	}
	if n, err := r.RowsAffected(); err == nil && n == 0 {
		return weft.Errorf(weft.KindNotFound, "revoke the token", name, "there is no such token").WithHint("`weft token list` shows them")
	}
	return nil
}

func scanToken(r interface{ Scan(...any) error }) (Token, error) {
	var t Token
	var scopes string
	var created, expires, used int64
	if err := r.Scan(&t.Name, &scopes, &created, &expires, &used); err != nil {
		return Token{}, err
	}
	t.Scopes, t.Domains = scopesOf(scopes)
	t.Created, t.Expires, t.Used = moment(created), moment(expires), moment(used)
	return t, nil
}

// scopeText is how the books say what a token may do: "read apply", and of one that
// is for certain domains "read@sales,places". A program that does not know the
// latter finds no scope in it, so that it lets the token do nothing, not more.
func scopeText(t Token) string {
	w := slices.Clone(t.Scopes)
	if len(t.Domains) > 0 {
		for i := range w {
			w[i] += "@" + strings.Join(t.Domains, ",")
		}
	}
	return strings.Join(w, " ")
}

func scopesOf(text string) (scopes, domains []string) {
	for w := range strings.FieldsSeq(text) {
		scope, of, limited := strings.Cut(w, "@")
		scopes = append(scopes, scope)
		if limited {
			domains = strings.Split(of, ",")
		}
	}
	return scopes, domains
}

// micro and moment keep the zero time as 0.
func micro(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func moment(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}
