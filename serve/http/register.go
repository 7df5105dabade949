package http

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"weft"
	"weft/serve"
)

// scopesKey is where an operation's metadata holds the scopes that it wants;
// one of them is enough, and admin always is.
const scopesKey = "scopes"

// op describes an operation. Scopes nil means that it needs no token.
func op(id, method, path, summary, description string, scopes ...serve.Scope) huma.Operation {
	o := huma.Operation{
		OperationID: id, Method: method, Path: path, Summary: summary, Description: description,
		MaxBodyBytes: 1 << 20,
		Metadata:     map[string]any{scopesKey: scopes},
		Security:     []map[string][]string{},
	}
	if len(scopes) > 0 {
		names := make([]string, len(scopes))
		for i, s := range scopes {
			names[i] = string(s)
		}
		o.Security = []map[string][]string{{"token": {}}}
		o.Description = strings.TrimSpace(o.Description + "\n\nScope: " + strings.Join(names, " or ") + ".")
	}
	return o
}

// body wraps an answer as huma wants it.
type body[T any] struct{ Body T }

// register adds an operation that answers with one JSON document.
func register[I, O any](s *Server, o huma.Operation, h func(ctx context.Context, who *serve.Identity, in *I) (O, error)) {
	s.document(&o)
	huma.Register(s.api, o, func(ctx context.Context, in *I) (*body[O], error) {
		bodyRead(of(ctx).state)
		v, err := h(ctx, of(ctx).who, in)
		if err != nil {
			return nil, s.problem(ctx, err)
		}
		return &body[O]{v}, nil
	})
}

// registerEmpty adds an operation that answers without a body.
func registerEmpty[I any](s *Server, o huma.Operation, h func(ctx context.Context, who *serve.Identity, in *I) error) {
	s.document(&o)
	huma.Register(s.api, o, func(ctx context.Context, in *I) (*struct{}, error) {
		bodyRead(of(ctx).state)
		if err := h(ctx, of(ctx).who, in); err != nil {
			return nil, s.problem(ctx, err)
		}
		return &struct{}{}, nil
	})
}

// raw is a handler that writes the answer itself.
type raw struct {
	Body func(huma.Context)
}

// registerRaw adds an operation that writes its answer itself; o.Responses says
// what it can be. An error becomes a problem.
func registerRaw[I any](s *Server, o huma.Operation, h func(w *writer, r *http.Request, who *serve.Identity, in *I) error) {
	s.document(&o)
	huma.Register(s.api, o, func(_ context.Context, in *I) (*raw, error) {
		return &raw{func(c huma.Context) {
			r, _ := humago.Unwrap(c)
			q := of(r.Context())
			bodyRead(q.state)
			err := h(q.state, r, q.who, in)
			var st *statusError
			switch {
			case errors.As(err, &st):
				s.fail(q.state, r, st.error, st.status)
			case err != nil:
				s.fail(q.state, r, err)
			}
		}}, nil
	})
}

// statusError is an error whose status is not the one of its kind.
type statusError struct {
	status int
	error
}

// problemError is a problem that huma sends as it is.
type problemError struct {
	*serve.Problem
}

// Error is the problem's detail.
func (p *problemError) Error() string { return p.Detail }

// GetStatus is the HTTP status.
func (p *problemError) GetStatus() int { return p.Status }

// ContentType is a problem's, whatever was negotiated.
func (p *problemError) ContentType(string) string { return serve.ProblemType }

func (s *Server) problem(ctx context.Context, err error) error {
	q := of(ctx)
	q.err = err
	return &problemError{serve.ProblemOf(err, q.id)}
}

// authorise is the middleware of every operation: it wants the token, even on
// loopback, and the scope that the operation names. It runs before the body is
// read.
func (s *Server) authorise(c huma.Context, next func(huma.Context)) {
	r, _ := humago.Unwrap(c)
	q := of(r.Context())
	scopes, _ := c.Operation().Metadata[scopesKey].([]serve.Scope)
	if len(scopes) > 0 {
		who, err := s.authenticate(r)
		if err != nil {
			s.fail(q.state, r, err, http.StatusUnauthorized)
			return
		}
		q.who = who
		if !who.May(scopes...) {
			s.fail(q.state, r, weft.Errorf(weft.KindDenied, "answer the request", r.URL.Path,
				"the token %s may not do this: it wants the scope %s", who.Token, scopes[0]).
				WithHint("use another token, or make one with weft token create NAME --scope %s", scopes[0]))
			return
		}
	}
	next(c)
}

// authenticate finds out whose token the request brings.
func (s *Server) authenticate(r *http.Request) (*serve.Identity, error) {
	const hint = "send the header Authorization: Bearer TOKEN; weft finds the local node's token by itself"
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	token = strings.TrimSpace(token)
	if !strings.EqualFold(scheme, "Bearer") || token == "" || len(token) > 512 {
		return nil, weft.Errorf(weft.KindDenied, "answer the request", r.URL.Path, "it brings no token").WithHint(hint)
	}
	who, err := s.b.Tokens.Authenticate(r.Context(), token)
	if err == nil && who == nil {
		err = weft.Errorf(weft.KindDenied, "answer the request", r.URL.Path, "the token is not known").WithHint(hint)
	}
	var known *weft.Error
	if errors.As(err, &known) && known.Hint == "" && known.Kind == weft.KindDenied {
		err = &weft.Error{Op: "answer the request", Subject: r.URL.Path, Kind: weft.KindDenied, Cause: err, Hint: hint}
	}
	return who, err
}

// unframe turns huma's own errors, which are about the request's form, into
// problems. What was sent is not repeated: it may be SQL or a secret.
func unframe(c huma.Context, _ string, v any) (any, error) {
	m, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	e := &weft.Error{Op: "read the request", Kind: serve.KindOfStatus(m.Status), Message: m.Detail}
	if m.Status == http.StatusUnprocessableEntity || m.Status == http.StatusUnsupportedMediaType {
		e.Kind = weft.KindInvalid
	}
	var faults []string
	for _, d := range m.Errors {
		if d == nil {
			continue
		}
		text := d.Message
		if d.Location != "" {
			text = d.Location + ": " + text
		}
		faults = append(faults, text)
	}
	if len(faults) > 0 {
		e.Message = strings.Join(faults, "; ")
	}
	e.Hint = "GET /openapi.json says what the request looks like"
	r, _ := humago.Unwrap(c)
	q := of(r.Context())
	q.err = e
	p := serve.ProblemOf(e, q.id)
	p.Status = m.Status
	return p, nil
}

// bodyRead takes the deadline for the body away once it is read: it is the
// connection's, and passing it would cancel the request while it is answered.
func bodyRead(w *writer) { _ = w.rc.SetReadDeadline(time.Time{}) }
