package http_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"

	"weft"
	"weft/serve"
	"weft/serve/http"
)

// TestAReceiptIsOfTheBytesThatWent holds in each format that what is signed is the body
// to the byte, and that it is there once the body was read.
func TestAReceiptIsOfTheBytesThatWent(t *testing.T) {
	d := open(t, http.Config{})
	c := d.client(t, "read")
	nonces := map[weft.Hash]bool{}
	for _, f := range formats {
		s, err := c.QueryAs(t.Context(), serve.QueryRequest{SQL: "SELECT 1", Receipt: true}, f)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(s)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := c.Receipt(t.Context(), s.Request)
		if err != nil {
			t.Fatal(f, err)
		}
		var got struct {
			serve.Sent
			Nonce weft.Hash
			Cut   string
		}
		if err := json.Unmarshal(raw, &got); err != nil {
			t.Fatal(err)
		}
		want := serve.Sent{Request: s.Request, Format: f, Rows: s.Rows(), Bytes: int64(len(body)), Hash: sha256.Sum256(body)}
		if got.Sent != want || got.Nonce == (weft.Hash{}) || nonces[got.Nonce] || got.Cut != s.Cut {
			t.Errorf("%s: signed was %+v, and %+v went out", f, got, want)
		}
		nonces[got.Nonce] = true
	}
}

func TestWhoGetsAReceipt(t *testing.T) {
	d := open(t, http.Config{})
	ask := func(sql string, receipt bool) string {
		res, _ := d.do(t, "POST", "/api/v1/query", "read", fmt.Sprintf(`{"sql":%q,"receipt":%v}`, sql, receipt), nil)
		return "/api/v1/receipts/" + res.Header.Get(serve.HeaderRequest)
	}
	signed := ask("SELECT 1", true)
	for _, c := range []struct {
		what, path, token string
		status            int
	}{
		{"who asked", signed, "read", 200},
		{"who asked, again", signed, "read", 200},
		{"another reader", signed, "other", 404},
		{"an administrator", signed, "admin", 404},
		{"nobody", signed, "", 401},
		{"an answer that was not to be signed", ask("SELECT 1", false), "read", 404},
		{"one that could not be", ask("SELECT 'unsigned'", true), "read", 503},
		{"no request", "/api/v1/receipts/none", "read", 404},
	} {
		res, body := d.do(t, "GET", c.path, c.token, "", nil)
		if res.StatusCode != c.status || c.status == 503 && !strings.Contains(body, "an origin signs nothing") {
			t.Errorf("%s gets %d: %s", c.what, res.StatusCode, body)
		}
	}
}
