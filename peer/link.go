package peer

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"weft"
)

// Versions of the link protocol that this program speaks. The one before the newest
// works for ever; which is taken is the greatest that both sides have.
const (
	oldestLink = 1
	newestLink = 1
)

const (
	helloWait  = 10 * time.Second // for the other side's first words
	writeWait  = 20 * time.Second // for a frame to go out, or half of it
	pingAfter  = 5 * time.Second  // of silence
	silentMost = 15 * time.Second // of silence, then the link is cut
	answerWait = 30 * time.Second // for an answer
)

// hello is the first frame of each side.
type hello struct {
	Oldest  int       `json:"oldest"`
	Newest  int       `json:"newest"`
	Mesh    weft.Hash `json:"mesh"`
	Session string    `json:"session"`           // new with each start of the process
	Program string    `json:"program,omitempty"` // its version
	// Needy is set by who has few links, or finds again whom it had lost: it is taken
	// also by who has enough.
	Needy bool `json:"needy,omitempty"`
	// Relay asks the other side to let the sender be reached through it.
	Relay bool `json:"relay,omitempty"`
}

// ready ends the handshake of a link.
type ready struct {
	Relay bool `json:"relay,omitempty"` // what was asked for is granted
}

// bye says why a link ends.
type bye struct {
	Reason byeReason `json:"reason"`
}

type byeReason string

const (
	byeBusy    byeReason = "busy"    // it has links enough
	byeLinked  byeReason = "linked"  // there is a link already
	byeVersion byeReason = "version" // no version of the protocol in common
	byeMesh    byeReason = "mesh"    // it is of another mesh
	byeBanned  byeReason = "banned"  // it misbehaved a while ago
	byeClosing byeReason = "closing" // the node ends
)

// byeError is a link that the other side ended, saying why.
type byeError struct{ reason byeReason }

func (e byeError) Error() string { return "the other node ends the link: " + string(e.reason) }

// commonVersion is the version to speak, 0 where there is none.
func commonVersion(ours, theirs hello) int {
	v := min(ours.Newest, theirs.Newest)
	if v < ours.Oldest || v < theirs.Oldest {
		return 0
	}
	return v
}

func byeFrame(why byeReason) frame {
	b, err := json.Marshal(bye{why})
	if err != nil {
		panic(err) // a string is JSON always
	}
	return frame{frameBye, b}
}

// link is a connection over which records spread. Both sides are equal once it
// stands. One goroutine reads, one writes.
type link struct {
	n       *network
	peer    weft.KeyID
	conn    net.Conn
	r       *bufio.Reader
	dialed  bool // by this node
	theirs  hello
	version int
	relay   bool // one side can be reached through the other
	since   time.Time

	out     *outbox
	got     *recent // digests of records that came over this link
	heard   atomic.Int64
	conduct *conduct
	pulling sync.Mutex   // one pull at a time
	last    atomic.Int64 // when the last one began
	waits   atomic.Bool  // one is about to begin
	leaving atomic.Bool  // this node has said that it ends the link

	mu     sync.Mutex
	calls  map[uint32]chan []byte
	number uint32

	once  sync.Once
	ended chan struct{}
	err   error // why, set before ended is closed
}

func newLink(n *network, peer weft.KeyID, conn net.Conn, r *bufio.Reader, dialed bool) *link {
	l := &link{
		n: n, peer: peer, conn: conn, r: r, dialed: dialed, since: time.Now(),
		got: newRecent(linkRecent), conduct: newConduct(),
		calls: map[uint32]chan []byte{}, ended: make(chan struct{}),
	}
	l.out = newOutbox()
	l.hears()
	return l
}

func (l *link) hears() { l.heard.Store(int64(time.Since(l.n.born))) }

// pulled is when records were asked for last.
func (l *link) pulled() time.Time { return l.n.born.Add(time.Duration(l.last.Load())) }

// silence is how long nothing came.
func (l *link) silence() time.Duration {
	return time.Since(l.n.born) - time.Duration(l.heard.Load())
}

// end ends the link; the first reason counts. It may be called by anybody.
func (l *link) end(err error) {
	l.once.Do(func() {
		l.err = err
		if weft.KindOf(err) == weft.KindInvalid {
			l.n.punish(l.peer, err) // before it sees that it is cut off
		}
		close(l.ended)
		l.out.close()
		_ = l.conn.SetDeadline(time.Now()) // who writes stops at once
		_ = l.conn.Close()
	})
}

// send writes a frame of the handshake.
func (l *link) send(kind frameKind, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_ = l.conn.SetWriteDeadline(time.Now().Add(writeWait))
	_, err = l.conn.Write(appendFrame(nil, frame{kind, b}))
	return err
}

// expect reads a frame of the handshake, whose kinds are want or bye.
func (l *link) expect(want frameKind, v any) error {
	_ = l.conn.SetReadDeadline(time.Now().Add(helloWait))
	defer func() { _ = l.conn.SetReadDeadline(time.Time{}) }()
	f, err := readFrame(io.LimitReader(l.r, 8<<10))
	if err != nil {
		return err
	}
	if f.kind == frameBye {
		var b bye
		if err := json.Unmarshal(f.body, &b); err != nil {
			return badFrame("its last words are none")
		}
		return byeError{b.Reason}
	}
	if f.kind != want {
		return badFrame("frame %d comes where %d belongs", f.kind, want)
	}
	if err := json.Unmarshal(f.body, v); err != nil {
		return badFrame("its first words are none")
	}
	return nil
}

// greet is the handshake of the side that dialed.
func (l *link) greet(ours hello) error {
	if err := l.send(frameHello, ours); err != nil {
		return err
	}
	if err := l.expect(frameHello, &l.theirs); err != nil {
		return err
	}
	var ok ready
	if err := l.expect(frameReady, &ok); err != nil {
		return err
	}
	if l.theirs.Mesh != ours.Mesh {
		return byeError{byeMesh}
	}
	if l.version = commonVersion(ours, l.theirs); l.version == 0 {
		return byeError{byeVersion}
	}
	l.relay = ours.Relay && ok.Relay
	return nil
}

// welcome is the handshake of the side that was dialed. take decides whether the link
// is wanted, "" if so.
func (l *link) welcome(ours hello, take func() byeReason) error {
	if err := l.expect(frameHello, &l.theirs); err != nil {
		return err
	}
	if err := l.send(frameHello, ours); err != nil {
		return err
	}
	var no byeReason
	switch l.version = commonVersion(ours, l.theirs); {
	case l.theirs.Mesh != ours.Mesh:
		no = byeMesh
	case l.version == 0:
		no = byeVersion
	default:
		no = take()
	}
	if no != "" {
		_ = l.send(frameBye, bye{no})
		return byeError{no}
	}
	return l.send(frameReady, ready{Relay: l.relay})
}

// run reads until the link ends, and returns why.
func (l *link) run() error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.end(l.write())
	}()
	l.end(l.read())
	<-done
	l.mu.Lock()
	l.calls = nil // who still waits sees that the link ended
	l.mu.Unlock()
	return l.err
}

func (l *link) read() error {
	for {
		kind, n, err := readHeader(l.r)
		if err != nil {
			return err
		}
		f := frame{kind: kind}
		if kind == framePush {
			f.body = lend(n)[:n] // of which nothing is kept
		} else {
			f.body = make([]byte, n)
		}
		if err := readBody(l.r, f.body); err != nil {
			return err
		}
		l.hears()
		if err := l.handle(f); err != nil {
			return err
		}
		if kind == framePush {
			giveBack(f.body)
		}
	}
}

func (l *link) handle(f frame) error {
	switch f.kind {
	case framePing:
		return l.out.urgent(frame{framePong, nil})
	case framePush:
		return l.n.pushed(l, f.body)
	case frameAsk:
		number, q, args, err := readAsk(f.body)
		if err != nil {
			return err
		}
		b, err := l.n.answer(q, args)
		if err != nil {
			return err
		}
		return l.out.bulk(newAnswer(number, b))
	case frameAnswer:
		number, b, err := readAnswer(f.body)
		if err != nil {
			return err
		}
		l.mu.Lock()
		c := l.calls[number]
		delete(l.calls, number)
		l.mu.Unlock()
		if c != nil {
			c <- b // it has room for one
		}
	case frameBehind:
		l.n.behind(l)
	case frameRing:
		return l.n.ring(l, f.body)
	case frameBye:
		var b bye
		if err := json.Unmarshal(f.body, &b); err != nil {
			return badFrame("its last words are none")
		}
		return byeError{b.Reason}
	case frameHello, frameReady:
		return badFrame("a greeting comes where the link stands")
	}
	return nil // a pong, or what a later version says
}

// write sends what is in the outbox until the link ends.
func (l *link) write() error {
	var until time.Time
	for {
		page, sent, behind, err := l.out.next(l)
		if err != nil {
			return err
		}
		if now := time.Now(); until.Sub(now) < writeWait/2 {
			until = now.Add(writeWait)
			_ = l.conn.SetWriteDeadline(until)
		}
		if _, err := l.conn.Write(page); err != nil {
			return err
		}
		giveBack(page)
		l.n.stats.sent.Add(int64(sent))
		if behind {
			l.n.stats.behind.Add(1)
		}
	}
}

// ask asks a question and waits for its answer.
func (l *link) ask(ctx context.Context, q question, args []byte) ([]byte, error) {
	c := make(chan []byte, 1)
	l.mu.Lock()
	if l.calls == nil {
		l.mu.Unlock()
		return nil, l.why()
	}
	l.number++
	number := l.number
	l.calls[number] = c
	l.mu.Unlock()
	if err := l.out.urgent(newAsk(number, q, args)); err != nil {
		return nil, err
	}
	t := time.NewTimer(answerWait)
	defer t.Stop()
	select {
	case b := <-c:
		return b, nil
	case <-l.ended:
		return nil, l.why()
	case <-ctx.Done():
		l.forget(number)
		return nil, ctx.Err()
	case <-t.C:
		l.forget(number)
		return nil, weft.Errorf(weft.KindUnavailable, "ask the node", l.peer.Short(), "it does not answer")
	}
}

func (l *link) forget(number uint32) {
	l.mu.Lock()
	delete(l.calls, number)
	l.mu.Unlock()
}

// why is the reason of a link's end, of kind unavailable where nobody gave one.
func (l *link) why() error {
	<-l.ended
	if l.err == nil || errors.Is(l.err, io.EOF) || errors.Is(l.err, net.ErrClosed) {
		return weft.Errorf(weft.KindUnavailable, "speak with the node", l.peer.Short(), "the link ended")
	}
	return l.err
}

// sumsArgs are the arguments of askSums.
func sumsArgs(level int, prefix uint16) []byte {
	return []byte{byte(level), byte(prefix >> 8), byte(prefix)}
}

func kindArgs(kind, after string) []byte {
	return bytes.Join([][]byte{[]byte(kind), []byte(after)}, []byte{0})
}
