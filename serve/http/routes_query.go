package http

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"weft"
	"weft/serve"
)

type queryInput struct {
	Format string `query:"format" doc:"json, arrow, ndjson, csv or parquet; goes before the Accept header"`
	Body   serve.QueryRequest
}

type dataInput struct {
	P      string `path:"p" maxLength:"200" doc:"domain.product, or domain.product.table" example:"sales.orders"`
	Table  string `query:"table" maxLength:"63" doc:"the table, where the product has several"`
	Format string `query:"format" doc:"json, arrow, ndjson, csv or parquet; goes before the Accept header"`
	At     string `query:"at" maxLength:"65536" doc:"a time, a date, a commit (#12), a cut's token or the name of a saved one; now where it is absent"`
}

const streamText = "The answer is streamed in the format that Accept or format= names. Headers before the body say which cut it was read at " +
	"(Weft-Cut, Weft-Cut-Text) and how many rows are held back in quarantine (Weft-Held); the trailer Weft-Rows counts the rows, and Weft-Warnings says what is to be known of them. " +
	"An answer that fails after its first byte is never ended: the connection breaks, and GET /api/v1/requests/{id} with the " +
	"Weft-Request header's id says why."

func (s *Server) queryRoutes() {
	query := op("query", http.MethodPost, prefix+"/query", "Ask a question in SQL", "One SELECT over any products. "+streamText, serve.ScopeRead)
	query.Tags = []string{"query"}
	query.Responses = streamResponses()
	whole := query.Responses["200"].Content["application/json"]
	whole.Schema = &huma.Schema{OneOf: []*huma.Schema{whole.Schema, schemaOf[serve.Quote](s)}}
	registerRaw(s, query, func(w *writer, r *http.Request, who *serve.Identity, in *queryInput) error {
		q, err := in.Body.Question(who.Subject)
		if err != nil {
			return err
		}
		if in.Body.Quote {
			return s.quote(w, r, q)
		}
		f, err := pickFormat(in.Format, r.Header.Values("Accept"))
		if err != nil {
			return err
		}
		if in.Body.Receipt {
			q.Nonce = newNonce()
		}
		return s.stream(w, r, q, f, "")
	})

	data := op("readTable", http.MethodGet, prefix+"/products/{p}/data", "Read a whole table", "Every column and row of one table, for notebooks and files. "+streamText, serve.ScopeRead)
	data.Tags = []string{"query"}
	data.Responses = streamResponses()
	registerRaw(s, data, func(w *writer, r *http.Request, who *serve.Identity, in *dataInput) error {
		f, err := pickFormat(in.Format, r.Header.Values("Accept"))
		if err != nil {
			return err
		}
		t, err := tableAddress(in.P, in.Table)
		if err != nil {
			return err
		}
		at, err := serve.ParseProductAt(t.Name, in.At)
		if err != nil {
			return err
		}
		q := weft.Question{SQL: "SELECT * FROM " + t.String(), Subject: who.Subject, At: at}
		return s.stream(w, r, q, f, t.String())
	})
}

type explainInput struct {
	Format string `query:"format" enum:"json,text" default:"json"`
	Body   serve.ExplainRequest
}

// explainRoute tells how a question is answered.
func (s *Server) explainRoute() {
	o := op("explain", http.MethodPost, prefix+"/explain", "How a question is answered",
		"Which nodes are asked for what, in SQL, what waits for which values, what runs here at the end, and how much of each is expected. "+
			"No other node is asked anything, unless analyze is set: then the question is run, its rows are dropped, and what was measured stands beside.", serve.ScopeRead)
	o.Tags = []string{"query"}
	o.Responses = map[string]*huma.Response{"200": {Description: "The plan", Content: map[string]*huma.MediaType{
		"application/json": {Schema: schemaOf[weft.Plan](s)},
		"text/plain":       {Schema: &huma.Schema{Type: "string"}},
	}}}
	registerRaw(s, o, func(w *writer, r *http.Request, who *serve.Identity, in *explainInput) error {
		q, err := in.Body.Question(who.Subject)
		if err != nil {
			return err
		}
		p, err := s.b.Plans.Explain(r.Context(), q, in.Body.Analyze)
		if err != nil {
			return err
		}
		if in.Format == "text" {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			return sent(serve.WritePlan(w, p, serve.PlanPrint{}))
		}
		w.Header().Set("Content-Type", "application/json")
		return sent(json.NewEncoder(w).Encode(p))
	})
}

// pickFormat takes the format that the request names, or the best that it
// accepts.
func pickFormat(name string, accept []string) (serve.Format, error) {
	if name != "" {
		f, err := serve.ParseFormat(name)
		if err == nil && f == serve.FormatTable {
			err = weft.Errorf(weft.KindInvalid, "read the format", name, "tables are drawn by the program that shows them").
				WithHint("take one of json, arrow, ndjson, csv, parquet")
		}
		return f, err
	}
	f, ok := serve.Negotiate(strings.Join(accept, ","))
	if !ok {
		return "", &statusError{http.StatusNotAcceptable, weft.Errorf(weft.KindInvalid, "read the format", "", "nothing that the request accepts can be given").
			WithHint("accept application/json, application/vnd.apache.arrow.stream, application/x-ndjson, text/csv or application/vnd.apache.parquet")}
	}
	return f, nil
}

// tableAddress reads domain.product or domain.product.table, with the table
// perhaps given beside it. Without a table it is the product's main one.
func tableAddress(p, table string) (weft.TableName, error) {
	bad := func(why string) (weft.TableName, error) {
		return weft.TableName{}, weft.Errorf(weft.KindInvalid, "read the address", clip(p, 80), "%s", why).
			WithHint("write it like sales.orders or sales.orders.lines")
	}
	parts := strings.SplitN(p, ".", 3)
	if len(parts) < 2 {
		return bad("a table's address is domain.product or domain.product.table")
	}
	n, err := weft.ParseName(parts[0] + "." + parts[1])
	if err != nil {
		return weft.TableName{}, err
	}
	t := weft.TableName{Name: n, Table: n.Product}
	if len(parts) == 3 {
		t.Table = parts[2]
	}
	switch {
	case table != "" && len(parts) == 3 && table != parts[2]:
		return bad("the address and table= name different tables")
	case table != "":
		t.Table = strings.TrimPrefix(table, n.String()+".")
	}
	if err := weft.CheckName(t.Table); err != nil {
		return weft.TableName{}, err
	}
	return t, nil
}
