package http

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"weft/serve"
)

const schemaPrefix = "#/components/schemas/"

// document is the API's own description, made once.
type document struct {
	json, yaml, html []byte
}

// describe fills the parts of the document that no operation says.
func describe(d *huma.OpenAPI) {
	d.Info.Description = "One node of a data mesh: its products, their data and their upkeep.\n\n" +
		"Every request but the probes brings a token: `Authorization: Bearer TOKEN`. Every answer has the header " +
		"`Weft-Request`, the id that the node's log has too. Errors are RFC 9457 problems with the fields " +
		"kind, op, subject, message and hint."
	d.Info.License = &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"}
	d.Servers = []*huma.Server{{URL: "/"}}
	d.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"token": {Type: "http", Scheme: "bearer", Description: "a token of this node; weft token create makes one"},
	}
	d.Tags = []*huma.Tag{
		{Name: "query", Description: "Read rows."},
		{Name: "cuts", Description: "Keep states of products under names, and ask at them again."},
		{Name: "products", Description: "See what there is and how good it is."},
		{Name: "owner", Description: "Apply, refresh and look after products."},
		{Name: "mesh", Description: "The nodes that the node knows, and who they are."},
		{Name: "node", Description: "How the node is."},
		{Name: "tokens", Description: "Who may speak to the node."},
	}
}

// document completes an operation: the time its body may take, and the answers
// that every one can have.
func (s *Server) document(o *huma.Operation) {
	o.BodyReadTimeout = s.cfg.BodyTimeout
	if o.Responses == nil {
		o.Responses = map[string]*huma.Response{}
	}
	o.Responses["default"] = &huma.Response{
		Description: "An error, as RFC 9457 says it",
		Content:     map[string]*huma.MediaType{serve.ProblemType: {Schema: schemaOf[serve.Problem](s)}},
	}
	if o.DefaultStatus == 0 && o.Method == http.MethodDelete {
		o.DefaultStatus = http.StatusNoContent
	}
	status := itoa(max(o.DefaultStatus, http.StatusOK))
	if o.Responses[status] == nil {
		o.Responses[status] = &huma.Response{Description: http.StatusText(max(o.DefaultStatus, http.StatusOK))}
	}
}

func schemaOf[T any](s *Server) *huma.Schema {
	return s.api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[T](), true, "")
}

// streamResponses describe an answer in any of the formats.
func streamResponses() map[string]*huma.Response {
	text := func(d string) *huma.Param {
		return &huma.Param{Description: d, Schema: &huma.Schema{Type: huma.TypeString}}
	}
	content := map[string]*huma.MediaType{}
	for _, f := range serve.Formats() {
		s := &huma.Schema{Type: huma.TypeString, Format: "binary"}
		switch f {
		case serve.FormatJSON:
			s = &huma.Schema{Type: huma.TypeObject, Description: "columns, cut, cutText, points, held, rows (arrays in the order of columns) and last rowCount"}
		case serve.FormatCSV, serve.FormatNDJSON:
			s = &huma.Schema{Type: huma.TypeString}
		}
		name := f.ContentType()
		if f == serve.FormatCSV {
			name = "text/csv"
		}
		content[name] = &huma.MediaType{Schema: s}
	}
	return map[string]*huma.Response{"200": {
		Description: "The rows, streamed",
		Content:     content,
		Headers: map[string]*huma.Param{
			serve.HeaderCut:     text("the cut's token: ask with at= and get the same rows"),
			serve.HeaderCutText: text("the cut for people, such as sales.orders#12"),
			serve.HeaderHeld:    text("rows that the named tables hold back in quarantine"),
			serve.HeaderRequest: text("the request's id"),
			serve.TrailerRows:   text("a trailer: the number of rows, after the last byte"),

			serve.TrailerParts: text("a trailer, only where other nodes gave to the answer: JSON list of {node, name, products, rows, bytes}"),
			serve.TrailerWarnings: text("a trailer, only where there is something to say: JSON list of {kind, product, message, hint}, such as products " +
				"made from different states of a third (skew)"),
		},
	}}
}

// stepResponses describe long work: its result, or events and then the result.
func stepResponses[T any](s *Server) map[string]*huma.Response {
	result := map[string]*huma.MediaType{
		"application/json":     {Schema: schemaOf[T](s)},
		"application/x-ndjson": {Schema: schemaOf[serve.Step[T]](s)},
	}
	return map[string]*huma.Response{
		"200": {Description: "What was done", Content: result},
		"422": {Description: "The answer is no: the folder has faults, the change breaks readers, or the data breaks its contract", Content: map[string]*huma.MediaType{
			"application/json": {Schema: schemaOf[T](s)},
		}},
	}
}

// serveDocument fixes the document and its routes. It needs no token: it is the
// same for every node of a version and says nothing of the data.
func (s *Server) serveDocument() error {
	d := s.api.OpenAPI()
	schemas := d.Components.Schemas.Map()
	for _, unused := range []string{"ErrorModel", "ErrorDetail"} {
		delete(schemas, unused) // huma's own errors are never sent, see unframe
	}
	s.openAnswers()
	compact, err := json.Marshal(d)
	if err != nil {
		return err
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, compact, "", "  "); err != nil {
		return err
	}
	pretty.WriteByte('\n')
	s.doc.json = pretty.Bytes()
	if s.doc.yaml, err = d.YAML(); err != nil {
		return err
	}
	if s.doc.html, err = renderDocs(d); err != nil {
		return err
	}
	s.mux.HandleFunc("GET /docs", s.docs)
	for path, form := range maps.All(map[string]struct {
		ctype string
		text  []byte
	}{
		"/openapi.json": {"application/openapi+json;version=3.1", s.doc.json},
		"/openapi.yaml": {"application/openapi+yaml;version=3.1", s.doc.yaml},
	}) {
		s.mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", form.ctype)
			_, _ = w.Write(form.text) // an error here means that nobody reads it
		})
	}
	return nil
}

// openAnswers lets answers have fields that the document does not name, so that
// a later version may add some; requests stay closed, and a misspelt field is
// refused.
func (s *Server) openAnswers() {
	d := s.api.OpenAPI()
	schemas := d.Components.Schemas.Map()
	closed := map[string]bool{}
	var mark func(*huma.Schema)
	mark = func(x *huma.Schema) {
		if x == nil {
			return
		}
		if name := strings.TrimPrefix(x.Ref, schemaPrefix); x.Ref != "" && !closed[name] {
			closed[name] = true
			mark(schemas[name])
		}
		mark(x.Items)
		for _, p := range x.Properties {
			mark(p)
		}
	}
	for _, item := range d.Paths {
		if item.Post != nil && item.Post.RequestBody != nil {
			for _, m := range item.Post.RequestBody.Content {
				mark(m.Schema)
			}
		}
	}
	for name, x := range schemas {
		if !closed[name] {
			if open, ok := x.AdditionalProperties.(bool); ok && !open {
				x.AdditionalProperties = nil
			}
		}
	}
}

// OpenAPI is the API's document, OpenAPI 3.1 as JSON.
func (s *Server) OpenAPI() []byte { return slices.Clone(s.doc.json) }
