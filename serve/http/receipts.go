package http

import (
	"crypto/sha256"
	"hash"
	"net/http"
	"sync"
	"time"

	"weft"
	"weft/serve"
	"weft/sign"
)

// Bounds of the receipts that are kept for whoever asked.
const (
	keptReceipts     = 256
	keptReceiptBytes = 32 << 20
)

// receipts keeps the last ones until they are fetched: an answer is signed behind its
// last byte, where HTTP has no place left.
type receipts struct {
	mu    sync.Mutex
	list  []keptReceipt // oldest first
	bytes int
}

type keptReceipt struct {
	request, token string
	at             time.Time
	raw            []byte
	err            error // why there is none
}

func (r *receipts) put(k keptReceipt) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list, r.bytes = append(r.list, k), r.bytes+len(k.raw)
	r.forget(k.at)
}

// forget lets go of what is too old or too much.
func (r *receipts) forget(now time.Time) {
	for len(r.list) > 0 && (len(r.list) > keptReceipts || r.bytes > keptReceiptBytes || now.Sub(r.list[0].at) > serve.ReceiptKept) {
		r.bytes -= len(r.list[0].raw)
		r.list[0] = keptReceipt{}
		r.list = r.list[1:]
	}
}

// get finds the receipt of a request of the token; nobody else gets it.
func (r *receipts) get(id, token string, now time.Time) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget(now)
	for _, k := range r.list {
		if k.request == id && id != "" && k.token == token {
			return k.raw, k.err
		}
	}
	return nil, weft.Errorf(weft.KindNotFound, "find the receipt", clip(id, 64), "there is none of this token's, or no longer").
		WithHint("ask with \"receipt\": true, read the answer to its end, and fetch the receipt within %d minutes", int(serve.ReceiptKept.Minutes()))
}

// hashed is a writer that digests what goes out.
type hashed struct {
	*writer
	sum hash.Hash
	n   int64
}

func newHashed(w *writer) *hashed { return &hashed{writer: w, sum: sha256.New()} }

func (h *hashed) Write(b []byte) (int, error) {
	n, err := h.writer.Write(b)
	h.sum.Write(b[:n])
	h.n += int64(n)
	return n, err
}

// signed makes the receipt of an answer that was sent whole, and keeps it. Where it
// cannot be made, whoever fetches it is told why: the answer itself is whole.
func (s *Server) signed(r *http.Request, q weft.Question, ans *weft.Answer, f serve.Format, rows int64, h *hashed) {
	state := of(r.Context())
	sent := serve.Sent{Request: state.id, Format: f, Rows: rows, Bytes: h.n}
	h.sum.Sum(sent.Hash[:0])
	k := keptReceipt{request: state.id, token: state.who.Token, at: s.env.Clock.Now()}
	if k.raw, k.err = s.b.Receipts.Receipt(r.Context(), q, ans, sent); k.err != nil {
		s.env.Log.WarnContext(r.Context(), "an answer has no receipt", "error", k.err)
	}
	s.receipts.put(k)
}

// newNonce is a question's random word.
func newNonce() (n weft.Hash) {
	sign.Nonce(n[:])
	return n
}
