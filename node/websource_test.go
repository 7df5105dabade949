package node

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"weft/serve"
)

// TestSourceFromTheWeb loads a product over http, twice: what is downloaded lies in
// the data folder, where sources have otherwise nothing to read.
func TestSourceFromTheWeb(t *testing.T) {
	var rows atomic.Value
	rows.Store("id,item,price\n1,pen,1.50\n")
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, rows.Load())
	}))
	t.Cleanup(web.Close)
	r := newRig(t)
	r.write(strings.Replace(shop, "type: local, path: data/shop.csv", "type: api, location: '"+web.URL+"/shop.csv'", 1))
	r.apply("shop", serve.OutcomeCommitted)
	r.want("SELECT item FROM sales.shop", "pen")
	rows.Store("id,item,price\n1,pen,1.50\n2,ink,7.25\n")
	r.refresh("sales.shop", serve.OutcomeCommitted)
	r.want("SELECT count(*) FROM sales.shop", "2")
}
