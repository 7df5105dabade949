package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"weft"
)

func TestNegotiate(t *testing.T) {
	for accept, want := range map[string]Format{
		"":                                    FormatJSON,
		"*/*":                                 FormatJSON,
		"application/json":                    FormatJSON,
		"text/csv":                            FormatCSV,
		"text/*":                              FormatCSV,
		"TEXT/CSV; charset=utf-8":             FormatCSV,
		"*/*, text/csv":                       FormatCSV,
		"text/csv;q=0.5, application/json":    FormatJSON,
		"text/csv;q=0.5, application/*;q=0.1": FormatCSV,
		"application/vnd.apache.arrow.stream": FormatArrow,
		"application/vnd.apache.parquet":      FormatParquet,
		"application/jsonl":                   FormatNDJSON,
		"application/json;q=0, */*":           FormatArrow,
		"text/html, */*;q=0.1":                FormatJSON,
		"image/png":                           "",
		"application/json;q=0":                "",
		";;;,,,":                              "",
	} {
		got, ok := Negotiate(accept)
		if ok != (want != "") || ok && got != want {
			t.Errorf("%q gives %q, %v", accept, got, ok)
		}
	}
}

func TestFormatNames(t *testing.T) {
	for _, f := range append(Formats(), FormatTable) {
		if got, err := ParseFormat(" " + string(f)); got != f || err != nil || f.ContentType() == "" || f.Extension() == "" {
			t.Errorf("%s: %s, %v", f, got, err)
		}
	}
	if _, err := ParseFormat("xml"); weft.KindOf(err) != weft.KindInvalid {
		t.Error(err)
	}
}

// Every kind survives the wire, and every error keeps its words.
func TestProblemsReadBack(t *testing.T) {
	for _, i := range kindInfo {
		e := weft.Errorf(i.kind, "read the source", "shop", "it is away").WithHint("wait")
		p := ProblemOf(e, "r1")
		got := p.Err()
		if *got != *e || p.Status != StatusOf(i.kind) || p.Title == "" || p.Request != "r1" {
			t.Errorf("%s: %+v from %+v", i.kind, got, p)
		}
	}
	inner := weft.Errorf(weft.KindDrift, "read the source", "shop", "column a is gone").WithHint("ask the owner")
	for _, c := range []struct {
		err  error
		kind weft.Kind
		text string
		hint string
	}{
		{fmt.Errorf("load: %w", inner), weft.KindDrift, "load: read the source shop: column a is gone", "ask the owner"},
		{&weft.Error{Op: "load", Subject: "orders", Kind: weft.KindUnavailable, Cause: inner}, weft.KindUnavailable, "load orders: read the source shop: column a is gone", "ask the owner"},
		{weft.Errorf(weft.KindCorrupt, "read", "f", "bad: %w", io.ErrUnexpectedEOF), weft.KindCorrupt, "read f: bad: unexpected EOF", ""},
		{errors.New("plain"), weft.KindInternal, "plain", ""},
		{context.Canceled, weft.KindCancelled, "answer: the request was cancelled", ""},
	} {
		p := ProblemOf(c.err, "")
		got := p.Err()
		if got.Kind != c.kind || got.Error() != c.text || got.Hint != c.hint || p.Detail != c.text {
			t.Errorf("%v became %q (%s, hint %q)", c.err, got, got.Kind, got.Hint)
		}
	}
	if e := (&Problem{Status: 502, Title: "Bad gateway"}).Err(); e.Kind != weft.KindUnavailable || e.Message != "Bad gateway" {
		t.Errorf("a foreign problem became %+v", e)
	}
	for status, want := range map[int]weft.Kind{401: weft.KindDenied, 403: weft.KindDenied, 404: weft.KindNotFound, 413: weft.KindLimit, 418: weft.KindInvalid, 500: weft.KindInternal, 599: weft.KindInternal} {
		if got := KindOfStatus(status); got != want {
			t.Errorf("%d is %s", status, got)
		}
	}
}
