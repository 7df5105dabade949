package serve

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"weft"
)

// ProblemType is the media type of an error on the wire (RFC 9457).
const ProblemType = "application/problem+json"

// Problem is an error as the HTTP doors send it: RFC 9457 with the fields of a
// weft.Error, so that a remote failure reads like a local one.
type Problem struct {
	Type    string    `json:"type" doc:"urn:weft:error: and the kind"`
	Title   string    `json:"title" doc:"what the kind means, in a few words"`
	Status  int       `json:"status"`
	Detail  string    `json:"detail" doc:"what was done, to what, and why it failed, in one line"`
	Kind    weft.Kind `json:"kind" doc:"invalid, not_found, conflict, denied, limit, contract, drift, breaks, gone, unavailable, corrupt, cancelled, internal"`
	Op      string    `json:"op,omitempty" doc:"what was being done"`
	Subject string    `json:"subject,omitempty" doc:"what it was done to"`
	Message string    `json:"message,omitempty" doc:"why it failed"`
	Hint    string    `json:"hint,omitempty" doc:"what to do"`
	Request string    `json:"request,omitempty" doc:"the request's id, which the node's log has too"`
	After   float64   `json:"after,omitempty" doc:"seconds after which it may be worth to ask again"`
}

// problemPrefix starts the type of every problem.
const problemPrefix = "urn:weft:error:"

// kindInfo says how each kind looks over HTTP. The first kind of a status is
// the one that a bare status means.
var kindInfo = []struct {
	kind   weft.Kind
	status int
	title  string
}{
	{weft.KindInvalid, http.StatusBadRequest, "the request is wrong"},
	{weft.KindNotFound, http.StatusNotFound, "there is no such thing"},
	{weft.KindConflict, http.StatusConflict, "the state does not allow it now"},
	{weft.KindDenied, http.StatusForbidden, "refused"},
	{weft.KindLimit, http.StatusTooManyRequests, "refused or stopped by a limit"},
	{weft.KindContract, http.StatusUnprocessableEntity, "the data breaks its contract"},
	{weft.KindDrift, http.StatusUnprocessableEntity, "a source no longer looks as its contract expects"},
	{weft.KindBreaks, http.StatusConflict, "the change breaks somebody"},
	{weft.KindGone, http.StatusGone, "kept once, retention has ended"},
	{weft.KindUnavailable, http.StatusServiceUnavailable, "away; trying again may help"},
	{weft.KindCorrupt, http.StatusInternalServerError, "stored bytes are not what was written"},
	{weft.KindCancelled, StatusClientClosed, "cancelled"},
	{weft.KindInternal, http.StatusInternalServerError, "a fault of Weft"},
}

// StatusClientClosed is the status of a request that was cancelled; only logs
// see it, for the client is gone.
const StatusClientClosed = 499

// StatusOf is the HTTP status of a kind.
func StatusOf(k weft.Kind) int {
	for _, i := range kindInfo {
		if i.kind == k {
			return i.status
		}
	}
	return http.StatusInternalServerError
}

// KindOfStatus is the kind that a bare HTTP status stands for, where an answer
// came from something that speaks no problems.
func KindOfStatus(status int) weft.Kind {
	switch status {
	case http.StatusUnauthorized:
		return weft.KindDenied
	case http.StatusRequestEntityTooLarge, http.StatusRequestHeaderFieldsTooLarge:
		return weft.KindLimit
	case http.StatusBadGateway, http.StatusGatewayTimeout, http.StatusRequestTimeout:
		return weft.KindUnavailable
	case http.StatusInternalServerError:
		return weft.KindInternal
	}
	for _, i := range kindInfo {
		if i.status == status {
			return i.kind
		}
	}
	switch {
	case status >= 400 && status < 500:
		return weft.KindInvalid
	default:
		return weft.KindInternal
	}
}

// ProblemOf puts err on the wire. The cause's text is part of the message, as
// Error prints it; a plain error of the standard library shows as internal.
func ProblemOf(err error, request string) *Problem {
	e := AsError(err)
	p := &Problem{
		Type: problemPrefix + string(e.Kind), Status: StatusOf(e.Kind), Detail: e.Error(), Kind: e.Kind,
		Op: e.Op, Subject: e.Subject, Message: e.Message, Hint: weft.HintOf(e), Request: request,
		After: weft.AfterOf(e).Seconds(),
	}
	if e.Cause != nil {
		if p.Message != "" {
			p.Message += ": "
		}
		p.Message += e.Cause.Error()
	}
	for _, i := range kindInfo {
		if i.kind == e.Kind {
			p.Title = i.title
		}
	}
	return p
}

// Err rebuilds the error that the problem was made of.
func (p *Problem) Err() *weft.Error {
	k := p.Kind
	if k == "" {
		k = weft.Kind(strings.TrimPrefix(p.Type, problemPrefix))
	}
	known := false
	for _, i := range kindInfo {
		known = known || i.kind == k
	}
	if !known {
		k = KindOfStatus(p.Status)
	}
	e := &weft.Error{Op: p.Op, Subject: p.Subject, Kind: k, Message: p.Message, Hint: p.Hint}
	e.After = time.Duration(min(max(p.After, 0), maxDeadline) * float64(time.Second))
	if e.Message == "" && e.Op == "" {
		if e.Message = p.Detail; e.Message == "" {
			e.Message = p.Title
		}
	}
	return e
}

// AsError returns the outermost weft.Error of err's chain, or wraps err in one:
// a context that ended is KindCancelled, anything else KindInternal.
func AsError(err error) *weft.Error {
	var e *weft.Error
	if errors.As(err, &e) {
		if outer, ok := err.(*weft.Error); !ok || outer != e {
			// A wrapper such as fmt.Errorf("…: %w") added words; keep them.
			return &weft.Error{Kind: e.Kind, Hint: weft.HintOf(e), Message: err.Error(), After: weft.AfterOf(e)}
		}
		return e
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return &weft.Error{Op: "answer", Kind: weft.KindLimit, Message: "the deadline passed", Hint: "ask for less, or give the question more time"}
	case errors.Is(err, context.Canceled):
		return &weft.Error{Op: "answer", Kind: weft.KindCancelled, Message: "the request was cancelled"}
	}
	return &weft.Error{Kind: weft.KindInternal, Message: err.Error()}
}
