package node

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"

	"weft"
	"weft/contract"
	"weft/federate"
	"weft/policy"
	"weft/serve"
	"weft/store"
)

// peerPrefix is where nodes ask each other.
const peerPrefix = "/peer/v1"

// farState is what a node tells another of a product's newest rows. All tables are
// those of the one point.
type farState struct {
	Point  weft.Point `json:"point"`
	Tables []farTable `json:"tables"`
	// Withheld says why tables are left out that the asker may not read.
	Withheld *serve.Problem `json:"withheld,omitempty"`
}

// farTable is a table of a farState.
type farTable struct {
	Name    string      `json:"name"`
	Rows    int64       `json:"rows"`
	Columns []farColumn `json:"columns"`
}

// farColumn is a column with its type, as contracts write it.
type farColumn struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

// farEnd ends the rows of a table: they are whole, or broke off for a reason.
type farEnd struct {
	Point weft.Point     `json:"point"`
	Rows  int64          `json:"rows"`
	Fault *serve.Problem `json:"fault,omitempty"`
}

// peerRoutes hands the routes by which other nodes read products to handle; from
// says which node asks. The rows pass the gate, as everybody's do.
func (n *Node) peerRoutes(handle func(pattern string, h http.Handler), from func(context.Context) weft.KeyID) {
	route := func(path string, f func(http.ResponseWriter, *http.Request, weft.Subject, weft.Name) error) {
		handle("GET "+peerPrefix+path, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			name, err := weft.ParseName(r.PathValue("p"))
			var s weft.Subject
			if err == nil {
				s, err = n.farSubject(from(r.Context()), r.URL.Query().Get("for"))
				s = ofNode(s, from(r.Context()))
			}
			if err == nil {
				err = f(w, r, s, name)
			}
			if err != nil {
				refusePeer(w, err)
			}
		}))
	}
	route("/products/{p}", n.tellState)
	route("/products/{p}/tables/{t}", n.sendTable)
}

// refusePeer answers with an error; nothing was written before.
func refusePeer(w http.ResponseWriter, err error) {
	p := serve.ProblemOf(err, "")
	w.Header().Set("Content-Type", serve.ProblemType)
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the other side is gone, or reads it
}

// farSubject is the product of another node that asks: it must be of a domain that
// the node may speak for.
func (n *Node) farSubject(node weft.KeyID, asks string) (weft.Subject, error) {
	name, err := weft.ParseName(asks)
	if err != nil {
		return weft.Subject{}, weft.Errorf(weft.KindInvalid, "answer another node", "", "it does not say which product asks")
	}
	var domains []string
	if n.far != nil {
		domains = n.far.domainsOf(node)
	}
	return policy.OfPeer(node, domains, name)
}

// tellState says what there is to be read of a product.
func (n *Node) tellState(w http.ResponseWriter, r *http.Request, s weft.Subject, name weft.Name) error {
	p, ok := (visibleProducts{n}).Product(s, name)
	if !ok {
		return weft.Errorf(weft.KindNotFound, "find the product", name.String(), "there is no such product here, or none that %s may know of", s.ID)
	}
	if err := p.Deny(""); err != nil {
		return err
	}
	defer p.Release()
	var st farState
	var err error
	if st.Point, err = publishedPoint(p.Store, name); err != nil {
		return err
	}
	snap, err := p.Store.Snapshot(r.Context(), st.Point.Seq)
	if err != nil {
		return err
	}
	defer func() { _ = snap.Close() }()
	if err := st.list(snap, p.Deny); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(st)
}

// list notes the tables of a snapshot that may be read.
func (st *farState) list(snap *store.Snapshot, deny func(table string) error) error {
	for _, t := range snap.Tables() {
		if t.Hidden {
			continue
		}
		if why := deny(t.Table); why != nil {
			st.Withheld = serve.ProblemOf(why, "")
			continue
		}
		ft := farTable{Name: t.Table, Rows: t.Rows, Columns: []farColumn{}}
		for _, f := range t.Schema.Fields() {
			typ, err := contract.FromField(f)
			if err != nil {
				return err
			}
			ft.Columns = append(ft.Columns, farColumn{f.Name, typ.String()})
		}
		st.Tables = append(st.Tables, ft)
	}
	return nil
}

// sendTable sends all rows of a table at a point.
func (n *Node) sendTable(w http.ResponseWriter, r *http.Request, s weft.Subject, name weft.Name) error {
	at, err := askedPoint(r, name)
	if err != nil {
		return err
	}
	table := r.PathValue("t")
	if err := weft.CheckName(table); err != nil {
		return err
	}
	ans, err := (questions{n}).Part(r.Context(), federate.FarQuestion{Question: wholeTable(s, at, table)})
	if err != nil {
		return err
	}
	defer func() { _ = ans.Close() }()
	w.Header().Set("Content-Type", "application/octet-stream")
	end := farEnd{Point: at}
	if p, ok := ans.Cut.Find(name); ok {
		end.Point = p
	}
	out, rows, err := sendRows(rowsOut{ResponseWriter: w}, ans)
	end.Rows = rows
	if err != nil {
		end.Fault = serve.ProblemOf(err, "")
	}
	if out.End(end) != nil {
		panic(http.ErrAbortHandler)
	}
	return nil
}

// askedPoint reads the point that rows are asked for.
func askedPoint(r *http.Request, name weft.Name) (weft.Point, error) {
	q := r.URL.Query()
	p := weft.Point{Product: name}
	seq, err := weft.ParseSeq(q.Get("seq"))
	if err != nil || seq == 0 {
		return p, weft.Errorf(weft.KindInvalid, "answer another node", name.String(), "it does not say which commit to read")
	}
	inc, err := strconv.ParseUint(q.Get("incarnation"), 10, 32)
	b, hexErr := hex.DecodeString(q.Get("hash"))
	if err != nil || hexErr != nil || len(b) != len(p.Hash) {
		return p, weft.Errorf(weft.KindInvalid, "answer another node", name.String(), "it does not prove which commit to read")
	}
	p.Seq, p.Incarnation, p.Hash = seq, uint32(inc), weft.Hash(b)
	return p, nil
}
