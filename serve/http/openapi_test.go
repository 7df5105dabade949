package http_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"weft/run"
	"weft/serve/http"
)

var update = flag.Bool("update", false, "rewrite golden files")

func apiDocument(t *testing.T) []byte {
	t.Helper()
	srv, err := http.New(http.Config{Addr: "127.0.0.1:0", Version: "test"}, (&memoryNode{}).backend(), run.Quiet())
	if err != nil {
		t.Fatal(err)
	}
	return srv.OpenAPI()
}

// The document is part of the API: a change of it is seen in review.
func TestOpenAPIIsStable(t *testing.T) {
	const path = "testdata/openapi.json"
	got := apiDocument(t)
	if !bytes.Equal(got, apiDocument(t)) {
		t.Fatal("the document differs from one making to the next")
	}
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs; run go test ./serve/http -update and read the difference", path)
	}
}

func TestOpenAPIListsEveryRoute(t *testing.T) {
	var doc struct {
		Paths map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal(apiDocument(t), &doc); err != nil {
		t.Fatal(err)
	}
	var got []string
	for path, ops := range doc.Paths {
		for method := range ops {
			got = append(got, strings.ToUpper(method)+" "+path)
		}
	}
	slices.Sort(got)
	want := []string{
		"DELETE /api/v1/cuts/{cut}", "DELETE /api/v1/products/{p}", "DELETE /api/v1/products/{p}/holds/{hold}", "DELETE /api/v1/replicas/{p}", "DELETE /api/v1/tokens/{name}",
		"GET /api/v1/cuts", "GET /api/v1/cuts/{cut}", "GET /api/v1/holds",
		"GET /api/v1/lineage", "GET /api/v1/mesh", "GET /api/v1/mesh/keys", "GET /api/v1/peers", "GET /api/v1/products", "GET /api/v1/products/{p}", "GET /api/v1/products/{p}/commits", "GET /api/v1/products/{p}/data",
		"GET /api/v1/products/{p}/quarantine", "GET /api/v1/receipts/{id}", "GET /api/v1/replicas", "GET /api/v1/requests/{id}", "GET /api/v1/search", "GET /api/v1/status", "GET /api/v1/tokens", "GET /api/v1/usage", "GET /healthz", "GET /metrics", "GET /readyz",
		"POST /api/v1/apply", "POST /api/v1/backup", "POST /api/v1/cuts", "POST /api/v1/explain", "POST /api/v1/lineage/events",
		"POST /api/v1/mesh", "POST /api/v1/mesh/domains/{d}/decide", "POST /api/v1/mesh/handovers", "POST /api/v1/mesh/invitations", "POST /api/v1/mesh/join", "POST /api/v1/mesh/rotate",
		"POST /api/v1/peers/{node}/revoke", "POST /api/v1/products/{p}/handover", "POST /api/v1/products/{p}/pause", "POST /api/v1/products/{p}/refresh", "POST /api/v1/products/{p}/resume",
		"POST /api/v1/products/{p}/retire", "POST /api/v1/products/{p}/rollback", "POST /api/v1/query", "POST /api/v1/reload", "POST /api/v1/replicas", "POST /api/v1/tokens",
	}
	if !slices.Equal(got, want) {
		t.Errorf("the document lists %s", strings.Join(got, "\n"))
	}
}

// checker walks the document and notes what OpenAPI 3.1 does not allow.
type checker struct {
	root   map[string]any
	ids    map[string]bool
	faults []string
}

func (c *checker) fault(where, format string, args ...any) {
	c.faults = append(c.faults, where+": "+fmt.Sprintf(format, args...))
}

func object(v any) map[string]any { m, _ := v.(map[string]any); return m }
func list(v any) []any            { l, _ := v.([]any); return l }

func TestOpenAPIIsValid(t *testing.T) {
	c := &checker{ids: map[string]bool{}}
	if err := json.Unmarshal(apiDocument(t), &c.root); err != nil {
		t.Fatal(err)
	}
	if v, _ := c.root["openapi"].(string); !strings.HasPrefix(v, "3.1.") {
		c.fault("openapi", "the version is %q", v)
	}
	info := object(c.root["info"])
	for _, k := range []string{"title", "version"} {
		if s, _ := info[k].(string); s == "" {
			c.fault("info", "%s is missing", k)
		}
	}
	for path, item := range object(c.root["paths"]) {
		if !strings.HasPrefix(path, "/") {
			c.fault(path, "a path starts with /")
		}
		for method, o := range object(item) {
			if !slices.Contains([]string{"get", "put", "post", "delete", "options", "head", "patch", "trace"}, method) {
				c.fault(path, "%s is no method", method)
			}
			c.operation(method+" "+path, path, object(o))
		}
	}
	for name, s := range object(object(c.root["components"])["schemas"]) {
		if !regexp.MustCompile(`^[a-zA-Z0-9._-]+$`).MatchString(name) {
			c.fault("components", "the name %q is not allowed", name)
		}
		c.schema("components/"+name, s)
	}
	for _, f := range c.faults {
		t.Error(f)
	}
}

func (c *checker) operation(where, path string, o map[string]any) {
	id, _ := o["operationId"].(string)
	if id == "" || c.ids[id] {
		c.fault(where, "operationId %q is missing or repeats", id)
	}
	c.ids[id] = true
	if s, _ := o["summary"].(string); s == "" {
		c.fault(where, "there is no summary")
	}
	declared := map[string]bool{}
	for _, p := range list(o["parameters"]) {
		m := object(p)
		name, _ := m["name"].(string)
		in, _ := m["in"].(string)
		if !slices.Contains([]string{"query", "path", "header", "cookie"}, in) || m["schema"] == nil {
			c.fault(where, "parameter %q is in %q, or has no schema", name, in)
		}
		if in == "path" {
			declared["{"+name+"}"] = true
			if m["required"] != true {
				c.fault(where, "path parameter %q is not required", name)
			}
		}
		c.schema(where+" "+name, m["schema"])
	}
	for _, v := range regexp.MustCompile(`\{[^}]+\}`).FindAllString(path, -1) {
		if !declared[v] {
			c.fault(where, "%s is not declared", v)
		}
	}
	if b := object(o["requestBody"]); b != nil {
		c.content(where+" body", b["content"])
	}
	responses := object(o["responses"])
	if len(responses) < 2 || responses["default"] == nil {
		c.fault(where, "it lacks a success or an error")
	}
	for status, r := range responses {
		m := object(r)
		if d, _ := m["description"].(string); d == "" || !regexp.MustCompile(`^([1-5][0-9X]{2}|default)$`).MatchString(status) {
			c.fault(where, "response %s has no description, or is none", status)
		}
		if m["content"] != nil {
			c.content(where+" "+status, m["content"])
		}
	}
	if _, ok := o["security"].([]any); !ok {
		c.fault(where, "it does not say which token it wants")
	}
	for _, s := range list(o["security"]) {
		for name := range object(s) {
			if object(object(c.root["components"])["securitySchemes"])[name] == nil {
				c.fault(where, "there is no security scheme %q", name)
			}
		}
	}
}

func (c *checker) content(where string, v any) {
	if len(object(v)) == 0 {
		c.fault(where, "there is no content")
	}
	for ct, m := range object(v) {
		if !strings.Contains(ct, "/") || object(m)["schema"] == nil {
			c.fault(where, "%q is no media type, or has no schema", ct)
		}
		c.schema(where+" "+ct, object(m)["schema"])
	}
}

func (c *checker) schema(where string, v any) {
	if _, ok := v.(bool); ok {
		return
	}
	s := object(v)
	if s == nil {
		c.fault(where, "the schema is no object")
		return
	}
	if ref, ok := s["$ref"].(string); ok {
		name, found := strings.CutPrefix(ref, "#/components/schemas/")
		if !found || object(object(c.root["components"])["schemas"])[name] == nil {
			c.fault(where, "%s leads nowhere", ref)
		}
	}
	if _, ok := s["nullable"]; ok {
		c.fault(where, "nullable is not OpenAPI 3.1")
	}
	types := list(s["type"])
	if one, ok := s["type"].(string); ok {
		types = []any{one}
	}
	for _, one := range types {
		if !slices.Contains([]any{"object", "array", "string", "integer", "number", "boolean", "null"}, one) {
			c.fault(where, "%v is no type", one)
		}
	}
	if slices.Contains(types, any("array")) && s["items"] == nil {
		c.fault(where, "an array without items")
	}
	props := object(s["properties"])
	for name, p := range props {
		c.schema(where+"."+name, p)
	}
	for _, r := range list(s["required"]) {
		if _, ok := props[r.(string)]; !ok {
			c.fault(where, "%v is required but no property", r)
		}
	}
	for _, k := range []string{"items", "additionalProperties"} {
		if s[k] != nil {
			c.schema(where+"/"+k, s[k])
		}
	}
}

func TestDocsPage(t *testing.T) {
	d := open(t, http.Config{})
	res, body := d.do(t, "GET", "/docs", "", "", nil)
	if res.StatusCode != 200 || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") {
		t.Fatalf("%d %v", res.StatusCode, res.Header)
	}
	for _, want := range []string{"/api/v1/query", "listProducts", `id="Problem"`, "Scope: apply."} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	for _, no := range []string{"<script", "https://", "http://", "ZgotmplZ"} {
		if strings.Contains(body, no) {
			t.Errorf("the page holds %s", no)
		}
	}
}
