package node

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"testing/fstest"
	"time"

	"weft"
	"weft/contract"
	"weft/records"
	"weft/run"
	"weft/serve"
	"weft/store"
)

// product is one product: what is known of it at all times, and its folder and
// store while it is held.
//
// Locks are taken in this order, each one only where none behind it is held:
// Node.adopting, product.loading, changing, stats.asking, spot.mu, then as the last one any other
// (mu, stats.mu, Node.mu, those of shelf, schedule, watch and work). Those last
// ones are held for a few lines of memory: no other lock of the node, also of
// another product, is taken under them, and nothing is read, written or awaited.
type product struct {
	node  *Node
	title weft.Name
	spot  spot

	life context.Context // ends when the product is deleted or the node closes
	end  context.CancelFunc

	loading  sync.Mutex // held while a load, a rollback or a retirement writes
	changing sync.Mutex // held while rec changes, in the books and here

	mu      sync.Mutex
	rec     records.Product
	brief   *brief
	seen    *store.Glance    // of the closed store, nil where nobody has looked yet
	store   *store.Store     // nil while nobody holds the product
	folder  *contract.Folder // nil while nobody holds the product
	asked   []request        // loads that were asked for
	working bool             // they are being worked off
	last    *records.Attempt
	lastOK  time.Time // last attempt that read everything and published or found nothing new
	next    time.Time // when the sources are read next
	retry   time.Duration
	busy    bool
	waiting bool      // a change of an upstream product or a file has not been read yet
	broken  error     // why it could not be held last
	lost    weft.Name // the product of another node that the last load could not read, zero for none
	ran     weft.Hash // folder whose SQL made the published rows, where this process knows
	ranAt   weft.Seq  // the commit from which on they are those rows
	used    usedColumns
	looks   map[string]look // by port: how far a look came that found nothing new
	stats   statsCache
	told    told
}

// request asks for a load.
type request struct {
	cause    weft.Cause
	window   *window
	progress serve.Progress
	asked    bool          // by somebody: what is taken to be unchanged is looked at
	by       string        // id of the API's request that asks, empty where none does
	done     chan<- loaded // nil where nobody waits
}

// window is the time range of `weft refresh --from --to`.
type window struct{ from, to *time.Time }

// loaded is how a load ended.
type loaded struct {
	commit  *weft.Commit
	verdict *weft.Verdict
	refused bool
	notes   []string
	err     error
}

func newProduct(n *Node, rec records.Product) *product {
	life, end := context.WithCancel(context.Background())
	return &product{node: n, title: rec.Name, life: life, end: end, rec: rec, brief: &brief{}, retry: firstRetry}
}

func (p *product) name() weft.Name { return p.title }

// ended says that the product is deleted, or the node closed: it is used no more.
func (p *product) ended() bool { return p.life.Err() != nil }

func (p *product) endedError(op string) error {
	return weft.Errorf(weft.KindUnavailable, op, p.name().String(), "it is deleted, or the node is stopping")
}

// write takes the product for a load, a rollback or a retirement, one at a time,
// until done is called; what it writes ends when the product does.
func (p *product) write(ctx context.Context) (_ context.Context, done func(), err error) {
	p.loading.Lock()
	if p.ended() {
		p.loading.Unlock()
		return nil, nil, p.endedError("write")
	}
	ctx, cut := p.alive(ctx)
	return ctx, func() { cut(); p.loading.Unlock() }, nil
}

// change takes the product's record and folder for a change until done is called.
// A product that has ended in the meantime is refused: its name may be another's.
func (p *product) change(op string) (done func(), err error) {
	p.changing.Lock()
	if p.ended() {
		p.changing.Unlock()
		return nil, p.endedError(op)
	}
	return p.changing.Unlock, nil
}

// alive is ctx for as long as the product lives; cut gives it back.
func (p *product) alive(ctx context.Context) (_ context.Context, cut context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(p.life, cancel)
	return ctx, func() { stop(); cancel() }
}

func (p *product) record() records.Product {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rec
}

func (p *product) current() (*contract.Folder, records.Product) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.folder, p.rec
}

// wake asks for a load that nobody waits for; one that is already asked for is
// enough.
func (p *product) wake(cause weft.Cause) {
	p.mu.Lock()
	p.waiting = true
	p.mu.Unlock()
	_ = p.enqueue(request{cause: cause})
}

// lose notes which product of another node a load could not read, zero for none.
func (p *product) lose(up weft.Name) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lost = up
}

// load asks for a load and waits for its end.
func (p *product) load(ctx context.Context, r request) loaded {
	done := make(chan loaded, 1)
	r.done, r.by = done, run.LogValue(ctx, logRequest)
	if err := p.enqueue(r); err != nil {
		return loaded{err: err}
	}
	select {
	case l := <-done:
		return l
	case <-ctx.Done():
		return loaded{err: &weft.Error{
			Op: "wait for the load of", Subject: p.name().String(), Kind: weft.KindCancelled, Cause: ctx.Err(),
			Hint: "the load itself goes on: `weft status` shows it",
		}}
	}
}

// Bounds of an uploaded folder once unpacked.
const (
	maxFolderBytes = 64 << 20
	maxFolderFiles = 2000
)

// readArchive unpacks a folder's tar.gz in memory, bounded, and reads it.
func readArchive(archive []byte) (*contract.Folder, []contract.Fault, error) {
	const op = "read the folder's archive"
	bad := func(format string, args ...any) *weft.Error {
		return weft.Errorf(weft.KindInvalid, op, "", format, args...)
	}
	if len(archive) > serve.MaxArchive {
		return nil, nil, bad("it is larger than %d MB", serve.MaxArchive>>20).WithHint("keep data out of the folder")
	}
	z, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		return nil, nil, bad("it is not a tar.gz")
	}
	fsys, left := fstest.MapFS{}, int64(maxFolderBytes)
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, nil, bad("it is damaged")
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		name := path.Clean(h.Name)
		if !isLocal(name) {
			return nil, nil, bad("it holds a path outside the folder")
		}
		if h.Size > left || len(fsys) >= maxFolderFiles {
			return nil, nil, bad("it unpacks to more than %d MB or %d files", maxFolderBytes>>20, maxFolderFiles)
		}
		b, err := io.ReadAll(io.LimitReader(r, h.Size))
		if err != nil || int64(len(b)) != h.Size {
			return nil, nil, bad("it is damaged")
		}
		left -= h.Size
		fsys[name] = &fstest.MapFile{Data: b, Mode: 0o600}
	}
	f, faults := contract.Read(fsys, ".")
	return f, faults, nil
}

func isLocal(name string) bool {
	return name != "." && !path.IsAbs(name) && name != ".." && !strings.HasPrefix(name, "../") && !strings.Contains(name, "\\")
}

// counter numbers things of one process.
type counter struct{ n atomic.Int64 }

func (c *counter) next() int64 { return c.n.Add(1) }

func compare(a, b weft.Name) int { return strings.Compare(a.String(), b.String()) }
