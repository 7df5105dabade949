package node

import (
	"context"
	"time"

	"weft"
	"weft/access"
	"weft/records"
	"weft/serve"
)

// Authenticate returns whose token it is.
func (n *Node) Authenticate(ctx context.Context, token string) (*serve.Identity, error) {
	id, err := n.tokens.Authenticate(ctx, token)
	if err != nil {
		return nil, err
	}
	id.Subject = withoutNode(id.Subject)
	if len(id.Subject.Domains) == 0 {
		id.Subject.Domains = n.speaksFor()
	}
	out := &serve.Identity{Subject: id.Subject, Token: id.Token}
	for _, s := range id.Scopes {
		out.Scopes = append(out.Scopes, serve.Scope(s))
	}
	return out, nil
}

// CreateToken makes a token; its text is in the result and nowhere else.
func (n *Node) CreateToken(ctx context.Context, _ weft.Subject, r serve.TokenRequest) (*serve.NewToken, error) {
	var scopes []access.Scope
	for _, s := range r.Scopes {
		scopes = append(scopes, access.Scope(s))
	}
	var expires time.Time
	if r.Expires != nil {
		expires = *r.Expires
	}
	text, rec, err := n.tokens.Create(ctx, r.Name, scopes, r.Domains, expires)
	if err != nil {
		return nil, err
	}
	return &serve.NewToken{TokenInfo: tokenInfo(rec), Token: text}, nil
}

// ListTokens gives all tokens without their texts.
func (n *Node) ListTokens(ctx context.Context, _ weft.Subject) ([]serve.TokenInfo, error) {
	recs, err := n.tokens.List(ctx)
	if err != nil {
		return nil, err
	}
	out := []serve.TokenInfo{}
	for _, r := range recs {
		out = append(out, tokenInfo(r))
	}
	return out, nil
}

// RevokeToken ends the token of that name at once.
func (n *Node) RevokeToken(ctx context.Context, _ weft.Subject, name string) error {
	return n.tokens.Revoke(ctx, name)
}

func tokenInfo(r records.Token) serve.TokenInfo {
	t := serve.TokenInfo{Name: r.Name, Created: r.Created, Domains: r.Domains}
	for _, s := range r.Scopes {
		t.Scopes = append(t.Scopes, serve.Scope(s))
	}
	if !r.Expires.IsZero() {
		t.Expires = &r.Expires
	}
	if !r.Used.IsZero() {
		t.LastUsed = &r.Used
	}
	return t
}
