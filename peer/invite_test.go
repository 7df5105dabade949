package peer

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"weft"
	"weft/sign"
)

// TestInvitationsThatAreRefused goes through what can be wrong with an invitation.
func TestInvitationsThatAreRefused(t *testing.T) {
	c := newClock()
	a := founded(t, c, "sales")
	other := founded(t, c, "sales")
	invite := func(t *testing.T, at *Mesh, in Invitation) string {
		token, err := at.Invite(t.Context(), in)
		ok(t, err)
		return token
	}
	t.Run("used twice", func(t *testing.T) {
		token := invite(t, a, Invitation{Domain: "sales"})
		ok(t, join(t.Context(), a, node(t, c, "b", ""), token))
		count := a.Set().Count()
		wants(t, join(t.Context(), a, node(t, c, "d", ""), token), weft.KindConflict, "was used already")
		if a.Set().Count() != count {
			t.Error("something was signed for the second one")
		}
	})
	t.Run("expired", func(t *testing.T) {
		token := invite(t, a, Invitation{Domain: "sales", Expires: time.Hour})
		n := node(t, c, "b", "")
		c.move(61 * time.Minute)
		wants(t, join(t.Context(), a, n, token), weft.KindDenied, "expired")
		if n.Joined() {
			t.Error("it is in")
		}
	})
	t.Run("expired for the one who comes, whose clock is wrong", func(t *testing.T) {
		token := invite(t, a, Invitation{Domain: "sales", Expires: time.Hour})
		ahead := newClock()
		ahead.move(3 * time.Hour)
		ok(t, join(t.Context(), a, node(t, ahead, "e", ""), token))
	})
	t.Run("altered", func(t *testing.T) {
		token := invite(t, a, Invitation{Domain: "sales"})
		for i := range token {
			bad := []byte(token)
			if bad[i] = 'A'; token[i] == 'A' {
				bad[i] = 'B'
			}
			if _, err := ReadToken(string(bad)); weft.KindOf(err) != weft.KindInvalid || strings.Contains(err.Error(), token[20:]) {
				t.Fatalf("with byte %d altered it is read: %v", i, err)
			}
		}
		for i := range token {
			if _, err := ReadToken(token[:i]); err == nil {
				t.Fatalf("the first %d bytes are an invitation", i)
			}
		}
	})
	t.Run("to another mesh", func(t *testing.T) {
		token := invite(t, other, Invitation{Domain: "sales"})
		wants(t, join(t.Context(), a, node(t, c, "b", ""), token), weft.KindDenied, "another mesh")
	})
	t.Run("of another node of the mesh", func(t *testing.T) {
		b := node(t, c, "b", "")
		enters(t, a, b, "stock")
		token := invite(t, b, Invitation{Domain: "stock"})
		wants(t, join(t.Context(), a, node(t, c, "d", ""), token), weft.KindDenied, "another node made")
	})
	t.Run("made up by one who may not invite", func(t *testing.T) {
		b := node(t, c, "b", "")
		enters(t, a, b, "parts")
		_, err := b.Invite(t.Context(), Invitation{Domain: "sales"})
		wants(t, err, weft.KindDenied, "at another node")
		_, err = b.Invite(t.Context(), Invitation{Domain: "brandnew"})
		wants(t, err, weft.KindDenied, "founding keys must sign")
		_, err = b.Invite(t.Context(), Invitation{})
		wants(t, err, weft.KindDenied, "founding keys must sign")
		forged := Token{Mesh: a.ID(), Issuer: b.Self(), Addresses: []string{"x:1"}, Domain: "sales", Until: c.Now().Add(time.Hour), nonce: append(slices.Clone(b.series()), make([]byte, nonceSize-seriesSize)...)}
		word, err := forged.seal(b.nodeKey())
		ok(t, err)
		wants(t, join(t.Context(), b, node(t, c, "d", ""), word), weft.KindDenied, "at another node")
	})
	t.Run("of a node that cannot be reached", func(t *testing.T) {
		for _, x := range []struct {
			addresses []string
			why       string
		}{{nil, "cannot be reached: it gives no address"}, {[]string{"127.0.0.1:1"}, "cannot be reached: "}} {
			away := Token{Mesh: a.ID(), Issuer: a.Self(), Addresses: x.addresses, Domain: "sales", Until: c.Now().Add(time.Hour), nonce: append(slices.Clone(a.series()), make([]byte, nonceSize-seriesSize)...)}
			word, err := away.seal(a.nodeKey())
			ok(t, err)
			wants(t, node(t, c, "d", "").Join(t.Context(), word), weft.KindUnavailable, x.why)
		}
	})
	t.Run("the new domain came in meanwhile", func(t *testing.T) {
		one, two := invite(t, a, Invitation{Domain: "fresh"}), invite(t, a, Invitation{Domain: "fresh"})
		ok(t, join(t.Context(), a, node(t, c, "b", ""), one))
		wants(t, join(t.Context(), a, node(t, c, "d", ""), two), weft.KindConflict, "has a key by now")
		if len(a.Conflicts()) > 0 {
			t.Errorf("there are conflicts: %v", a.Conflicts())
		}
	})
	t.Run("for too long, or for no time", func(t *testing.T) {
		for _, d := range []time.Duration{-time.Hour, time.Millisecond, 31 * 24 * time.Hour} {
			_, err := a.Invite(t.Context(), Invitation{Domain: "sales", Expires: d})
			wants(t, err, weft.KindInvalid, "an invitation is for")
		}
	})
	t.Run("one who is in a mesh", func(t *testing.T) {
		token := invite(t, a, Invitation{Domain: "sales"})
		wants(t, join(t.Context(), a, other, token), weft.KindConflict, "in a mesh already")
	})
	t.Run("one who was revoked", func(t *testing.T) {
		b := node(t, c, "b", "")
		token := invite(t, a, Invitation{Domain: "sales"})
		request, _, err := b.Ask(t.Context(), token)
		ok(t, err)
		_, err = a.Admit(t.Context(), weft.KeyID{}, request)
		ok(t, err)
		k, err := b.folder.key(nodeKey)
		ok(t, err)
		ok(t, a.Revoke(t.Context(), k.ID(), "", "lost"))
		_, err = a.Admit(t.Context(), weft.KeyID{}, request)
		wants(t, err, weft.KindDenied, "revoked")
	})
	t.Run("through a link of another key", func(t *testing.T) {
		b := node(t, c, "b", "")
		request, _, err := b.Ask(t.Context(), invite(t, a, Invitation{Domain: "sales"}))
		ok(t, err)
		_, err = a.Admit(t.Context(), other.Self(), request)
		wants(t, err, weft.KindDenied, "another node's")
	})
}

// TestANodeKnowsUntilWhenItInvites holds when a node listens to strangers at all, through
// a restart.
func TestANodeKnowsUntilWhenItInvites(t *testing.T) {
	c, dir := newClock(), t.TempDir()
	a := node(t, c, "a", dir)
	ok(t, a.Found(t.Context(), Founding{Name: "acme", Domains: []string{"sales"}}))
	if a.admitting() {
		t.Error("it listens to strangers without having invited")
	}
	for _, d := range []time.Duration{2 * time.Hour, time.Minute} {
		_, err := a.Invite(t.Context(), Invitation{Domain: "sales", Expires: d})
		ok(t, err)
	}
	c.move(time.Hour)
	ok(t, a.Close())
	a = node(t, c, "a", dir)
	if !a.admitting() {
		t.Error("it forgot its invitation")
	}
	if c.move(61 * time.Minute); a.admitting() {
		t.Error("it listens to strangers after its invitations expired")
	}
}

// TestAnAnswerThatGotLost holds that a node may ask again with its token, whatever
// stopped in between, and that nobody else may.
func TestAnAnswerThatGotLost(t *testing.T) {
	for _, domain := range []string{"sales", "stock", ""} {
		c, dir := newClock(), t.TempDir()
		a := node(t, c, "a", filepath.Join(dir, "a"))
		ok(t, a.Found(t.Context(), Founding{Name: "acme", Domains: []string{"sales"}}))
		token, err := a.Invite(t.Context(), Invitation{Domain: domain})
		ok(t, err)
		b := node(t, c, "b", filepath.Join(dir, "b"))
		request, _, err := b.Ask(t.Context(), token)
		ok(t, err)
		_, err = a.Admit(t.Context(), weft.KeyID{}, request)
		ok(t, err)
		c.move(time.Minute)
		ok(t, a.Close()) // both stop
		ok(t, b.Close())
		a, b = node(t, c, "a", filepath.Join(dir, "a")), node(t, c, "b", filepath.Join(dir, "b"))
		wants(t, join(t.Context(), a, node(t, c, "thief", ""), token), weft.KindConflict, "") // the notes are on the disk
		ok(t, join(t.Context(), a, b, token))
		if got := a.DomainsOf(b.Self()); got == nil || domain != "" && !slices.Equal(got, []string{domain}) {
			t.Errorf("it belongs to %q", got)
		}
		ok(t, a.Close())
		ok(t, b.Close())
	}
}

// TestANewDomainBringsItsKey holds whose the keys of domains are, and that the one who
// has them admits others.
func TestANewDomainBringsItsKey(t *testing.T) {
	c := newClock()
	a, b, d := founded(t, c, "sales"), node(t, c, "b", ""), node(t, c, "d", "")
	enters(t, a, b, "stock")
	if k, _ := a.folder.key(domainKey("stock")); !k.IsZero() {
		t.Error("the issuer has the new domain's key")
	}
	if k, err := b.domainKey("stock"); err != nil || k.IsZero() {
		t.Errorf("the one who came does not have it: %v", err)
	}
	if _, err := a.Invite(t.Context(), Invitation{Domain: "stock"}); weft.KindOf(err) != weft.KindDenied {
		t.Errorf("the founder admits to a domain that is another's: %v", err)
	}
	enters(t, b, d, "stock")
	if k, _ := d.folder.key(domainKey("stock")); !k.IsZero() {
		t.Error("the second node of a domain has its key")
	}
	meet(t, a, b, d)
	if got := a.DomainsOf(d.Self()); !slices.Equal(got, []string{"stock"}) {
		t.Errorf("the founder says that it is of %q", got)
	}
	n := node(t, c, "n", "")
	enters(t, a, n, "")
	if got := n.Domains(); got == nil || len(got) > 0 {
		t.Errorf("a node without a domain has %q", got)
	}
}

// TestRequestsOfLiars goes through requests that are not what Ask writes.
func TestRequestsOfLiars(t *testing.T) {
	c := newClock()
	a := founded(t, c, "sales")
	token, err := a.Invite(t.Context(), Invitation{Domain: "stock"})
	ok(t, err)
	n, dom, x := sign.NewKey(), sign.NewKey(), sign.NewKey()
	admission, err := sign.Seal(sign.Head{Mesh: a.ID(), Kind: KindAdmission, Key: NodeKey(n.ID(), "stock"), Version: 1, Time: c.Now()}, Admission{Node: n.ID(), Domain: "stock"}, dom)
	ok(t, err)
	good := joinRequest{Token: token, DomainKey: dom.ID(), Admission: admission.Raw()}
	seal := func(key string, q joinRequest, keys ...sign.Key) []byte {
		r, err := sign.Seal(sign.Head{Mesh: a.ID(), Kind: kindJoin, Key: key, Version: 1, Time: c.Now()}, q, keys...)
		ok(t, err)
		return r.Raw()
	}
	stolen := good
	stolen.DomainKey = x.ID()
	bare := good
	bare.Admission = nil
	for name, request := range map[string][]byte{
		"nothing":                         nil,
		"noise":                           []byte("noise\nnoise\n"),
		"too large":                       bytes.Repeat([]byte("x"), maxRequest+1),
		"in another node's name":          seal(x.ID().String(), good, n, dom),
		"without the domain's signature":  seal(n.ID().String(), good, n),
		"with another domain key":         seal(n.ID().String(), stolen, n, dom),
		"with the node's key as domain's": seal(n.ID().String(), joinRequest{Token: token, DomainKey: n.ID(), Admission: admission.Raw()}, n, n),
		"without the domain's admission":  seal(n.ID().String(), bare, n, dom),
		"without a token":                 seal(n.ID().String(), joinRequest{DomainKey: dom.ID()}, n, dom),
	} {
		count := a.Set().Count()
		if _, err := a.Admit(t.Context(), weft.KeyID{}, request); err == nil {
			t.Errorf("a request %s is answered", name)
		}
		if a.Set().Count() != count {
			t.Errorf("a request %s changes something", name)
		}
	}
	_, err = a.Admit(t.Context(), weft.KeyID{}, seal(n.ID().String(), good, n, dom))
	ok(t, err)
}

// TestAnswersOfLiars holds that a node does not enter by an answer that does not admit
// it, and can still enter by a good one.
func TestAnswersOfLiars(t *testing.T) {
	c := newClock()
	a, evil := founded(t, c, "sales"), founded(t, c, "sales")
	b := node(t, c, "b", "")
	token, err := a.Invite(t.Context(), Invitation{Domain: "sales"})
	ok(t, err)
	request, _, err := b.Ask(t.Context(), token)
	ok(t, err)
	early := a.Set().welcome()
	reply, err := a.Admit(t.Context(), weft.KeyID{}, request)
	ok(t, err)
	long := binary.BigEndian.AppendUint32([]byte(replyStart), 1<<31)
	for name, bad := range map[string][]byte{
		"nothing": nil, "noise": []byte("noise"), "of another mesh": evil.Set().welcome(), "without the admission": early,
		"cut off": reply[:len(reply)-3], "with a length that is not": long,
	} {
		if err := b.Enter(t.Context(), token, bad); err == nil {
			t.Errorf("it enters by an answer %s", name)
		}
		if b.Joined() || b.Set().Count() > 0 {
			t.Fatalf("it is in by an answer %s", name)
		}
	}
	ok(t, b.Enter(t.Context(), token, reply))
	if got := b.Domains(); !slices.Equal(got, []string{"sales"}) {
		t.Errorf("it is of %q", got)
	}
}

// FuzzToken holds that what is read as an invitation was written by who it says.
func FuzzToken(f *testing.F) {
	k := sign.NewKey()
	for _, domain := range []string{"", "sales"} {
		t := Token{Issuer: k.ID(), Domain: domain, Addresses: []string{"a:1", "b:2"}, Until: time.Unix(7, 0), nonce: make([]byte, nonceSize)}
		word, err := t.seal(k)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(word)
		f.Add(word[:len(word)/2])
	}
	f.Fuzz(func(t *testing.T, word string) {
		read, err := ReadToken(word)
		if err != nil {
			return
		}
		b, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(strings.TrimSpace(word), tokenStart))
		if err != nil || !sign.Verify(read.Issuer, b[len(b)-64:], tokenContext, b[:len(b)-64]) {
			t.Fatal("it is not signed")
		}
	})
}

// FuzzRequest holds that a request of strangers never brings a node down, nor changes
// anything where it is no request.
func FuzzRequest(f *testing.F) {
	c := newClock()
	a, b := founded(f, c, "sales"), node(f, c, "b", "")
	token, err := a.Invite(f.Context(), Invitation{Domain: "stock"})
	ok(f, err)
	request, _, err := b.Ask(f.Context(), token)
	ok(f, err)
	f.Add(request)
	f.Add(request[:100])
	f.Fuzz(func(t *testing.T, request []byte) {
		count := a.Set().Count()
		if _, err := a.Admit(t.Context(), weft.KeyID{}, request); err != nil && a.Set().Count() != count {
			t.Fatalf("refused, and yet something changed: %v", err)
		}
	})
}

// FuzzReply holds the same of an answer.
func FuzzReply(f *testing.F) {
	c := newClock()
	a := founded(f, c, "sales")
	token, err := a.Invite(f.Context(), Invitation{Domain: "sales"})
	ok(f, err)
	f.Add(a.Set().welcome())
	f.Add([]byte(replyStart))
	f.Fuzz(func(t *testing.T, reply []byte) {
		b := node(t, c, "b", "")
		_, _, err := b.Ask(t.Context(), token)
		ok(t, err)
		if err := b.Enter(t.Context(), token, reply); err == nil || b.Joined() {
			t.Fatal("it entered without having been admitted")
		}
	})
}
