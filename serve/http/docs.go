package http

import (
	"bytes"
	_ "embed"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

//go:embed docs.html
var docsHTML string

// page is the API's document for people: one page without scripts and without
// anything from elsewhere, made from the same declarations.
type page struct {
	Title, Version, Text string
	Groups               []pageGroup
	Objects              []pageObject
}

type pageGroup struct {
	Name, Text string
	Operations []pageOperation
}

type pageOperation struct {
	ID, Method, Path, Summary, Text string
	Params                          []pageField
	Body                            []pageContent
	Answers                         []pageAnswer
}

type pageAnswer struct {
	Status, Text string
	Content      []pageContent
}

type pageContent struct{ Media, Schema string }

type pageObject struct {
	Name   string
	Fields []pageField
}

type pageField struct {
	Name, In, Type, Schema, Text string
	Required                     bool
}

// renderDocs makes the page.
func renderDocs(d *huma.OpenAPI) ([]byte, error) {
	p := page{Title: d.Info.Title, Version: d.Info.Version, Text: d.Info.Description}
	for _, tag := range d.Tags {
		g := pageGroup{Name: tag.Name, Text: tag.Description}
		for _, path := range slices.Sorted(maps.Keys(d.Paths)) {
			item := d.Paths[path]
			for _, o := range []*huma.Operation{item.Get, item.Post, item.Delete} {
				if o != nil && slices.Contains(o.Tags, tag.Name) {
					g.Operations = append(g.Operations, pageOf(o))
				}
			}
		}
		p.Groups = append(p.Groups, g)
	}
	schemas := d.Components.Schemas.Map()
	for _, name := range slices.Sorted(maps.Keys(schemas)) {
		p.Objects = append(p.Objects, pageObject{name, fieldsOf(schemas[name])})
	}
	t, err := template.New("docs").Parse(docsHTML)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = t.Execute(&b, p)
	return b.Bytes(), err
}

func pageOf(o *huma.Operation) pageOperation {
	x := pageOperation{ID: o.OperationID, Method: o.Method, Path: o.Path, Summary: o.Summary, Text: o.Description}
	for _, a := range o.Parameters {
		x.Params = append(x.Params, pageField{Name: a.Name, In: a.In, Type: typeText(a.Schema), Text: a.Description, Required: a.Required})
	}
	if o.RequestBody != nil {
		x.Body = contentOf(o.RequestBody.Content)
	}
	for _, status := range slices.Sorted(maps.Keys(o.Responses)) {
		r := o.Responses[status]
		x.Answers = append(x.Answers, pageAnswer{status, r.Description, contentOf(r.Content)})
	}
	return x
}

func contentOf(c map[string]*huma.MediaType) []pageContent {
	var out []pageContent
	for _, media := range slices.Sorted(maps.Keys(c)) {
		out = append(out, pageContent{media, refName(c[media].Schema)})
	}
	return out
}

func fieldsOf(s *huma.Schema) []pageField {
	var out []pageField
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		p := s.Properties[name]
		out = append(out, pageField{Name: name, Type: typeText(p), Schema: refName(p), Text: p.Description, Required: slices.Contains(s.Required, name)})
	}
	return out
}

// refName is the object that a schema, or its items, refer to.
func refName(s *huma.Schema) string {
	if s == nil {
		return ""
	}
	if s.Ref == "" {
		return refName(s.Items)
	}
	return strings.TrimPrefix(s.Ref, schemaPrefix)
}

func typeText(s *huma.Schema) string {
	switch {
	case s == nil:
		return ""
	case s.Ref != "":
		return refName(s)
	case s.Items != nil:
		return "list of " + typeText(s.Items)
	case s.Type == "":
		return "any value"
	case s.Format != "" && s.Type == huma.TypeString:
		return s.Format
	}
	return s.Type
}

// docs answers with the page; its policy allows the style that it holds and
// nothing else.
func (s *Server) docs(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(s.doc.html) // an error here means that nobody reads it
}
