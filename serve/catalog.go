package serve

import (
	"context"
	"time"

	"weft"
)

// Catalog finds products of the whole mesh in this node's own memory. Products that
// s may not know of are not among what it finds.
type Catalog interface {
	// Search gives the products that fit best, best first. Nothing found is no error.
	Search(ctx context.Context, s weft.Subject, r SearchRequest) (*SearchResult, error)
}

// SearchRequest says what is looked for. All filters must hold; of one filter any of
// the values.
type SearchRequest struct {
	Text            string   // words; everything, by name, where it is empty
	Domains         []string // domains of the products
	Tags            []string
	Classifications []string // of any column
	Ports           []string // types of ports: local, postgres, http, product, tables
	States          []string // observed states
	Lives           []string // declared stages
	Limit           int      // hits, 20 where it is 0
	Offset          int      // hits to leave out, for the next page
}

// SearchResult is what was found.
type SearchResult struct {
	Query       string      `json:"query" doc:"the words that were looked for"`
	Total       int         `json:"total" doc:"products that fit, of which hits are some"`
	Searched    int         `json:"searched" doc:"products that were searched"`
	Hits        []SearchHit `json:"hits" doc:"best first"`
	Corrections []string    `json:"corrections,omitempty" doc:"ways to write the question that find more, where words of it are unknown"`
	Millis      float64     `json:"millis" doc:"how long the search took"`
}

// SearchHit is one product that fits.
type SearchHit struct {
	Product weft.Name  `json:"product"`
	Purpose string     `json:"purpose,omitempty"`
	Owner   string     `json:"owner,omitempty" doc:"the team"`
	Tags    []string   `json:"tags,omitempty"`
	Life    weft.Life  `json:"life"`
	State   weft.State `json:"state,omitempty" doc:"as its origin saw it last; absent where nothing was heard of it"`
	Rows    int64      `json:"rows" doc:"rows of all output tables"`
	Changed *time.Time `json:"changed,omitempty" doc:"time of the last commit, by its origin's clock"`
	Origin  Origin     `json:"origin"`
	Score   float64    `json:"score" doc:"the greater the better; comparable within one answer"`
	Why     []Match    `json:"why,omitempty" doc:"what of the product fits"`
}

// Origin says which node holds a product, and how fresh what is known of it is.
type Origin struct {
	Node weft.KeyID `json:"node" doc:"its key, zero where the node is in no mesh"`
	Name string     `json:"name,omitempty"`
	// Here is set for products of this node.
	Here   bool      `json:"here" doc:"it is this node"`
	Live   bool      `json:"live" doc:"there is a live link to the origin: what is known of the product is what holds now"`
	Link   Link      `json:"link,omitempty" doc:"how the origin is reached, as in the list of peers"`
	Signed time.Time `json:"signed,omitzero" doc:"when the newest record of the product was signed, by the origin's clock"`
	AsOf   time.Time `json:"asOf" doc:"until when this is known to hold, by this node's clock: when the origin was heard last"`
	Fault  string    `json:"fault,omitempty" doc:"why the name resolves to nothing"`
}

// Match says what of a product fits.
type Match struct {
	Field string   `json:"field" doc:"name, domain, table, column, business name, tag, owner, purpose, description, notes, input"`
	Where string   `json:"where,omitempty" doc:"the table, or table.column; absent where it is the product"`
	Text  string   `json:"text" doc:"what stands there, cut around the words"`
	Words []string `json:"words,omitempty" doc:"the words of text that fit"`
}
