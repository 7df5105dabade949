package meshtest_test

import (
	"encoding/binary"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weft"
	"weft/meshtest"
	"weft/peer"
	"weft/sign"
)

// turned makes a member that has ended, and returns its host and its key.
func turned(t *testing.T, n *meshtest.Network, first *meshtest.Node, name string) (*meshtest.Host, sign.Key) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	t.Cleanup(func() { time.Sleep(2 * time.Second) }) // until its database has ended
	x := n.Start(t, name, meshtest.Options{Dir: dir})
	meshtest.Join(t, first, x, "sales")
	time.Sleep(time.Second)
	if err := x.Kill(); err != nil {
		t.Fatal(err)
	}
	key, err := sign.LoadKey(filepath.Join(dir, "node.key"))
	if err != nil {
		t.Fatal(err)
	}
	return x.Host, key
}

// head makes a record of a product's head.
func head(t *testing.T, key sign.Key, mesh weft.Hash, product string, version uint64, fill int) []byte {
	t.Helper()
	r, err := sign.Seal(sign.Head{Mesh: mesh, Kind: "whim", Key: product, Version: version, Time: time.Now()}, strings.Repeat("x", fill), key)
	if err != nil {
		t.Fatal(err)
	}
	return r.Raw()
}

// A member that breaks the rules is refused and cut off, that is logged once, and the
// nodes go on.
func TestHostileMember(t *testing.T) {
	for name, attack := range map[string]func(t *testing.T, h *meshtest.Hostile, key sign.Key, mesh weft.Hash) (told string){
		"10 MB": func(t *testing.T, h *meshtest.Hostile, _ sign.Key, _ weft.Hash) string {
			b := append(binary.BigEndian.AppendUint32(nil, 10<<20), 6)
			_, _ = h.Write(append(b, make([]byte, 1<<20)...))
			h.Drain(t, 5*time.Second)
			return "a frame of 10485760 bytes"
		},
		"forged": func(t *testing.T, h *meshtest.Hostile, key sign.Key, mesh weft.Hash) string {
			raw := head(t, key, mesh, "sales.p", 1, 10)
			raw[len(raw)-1] ^= 1
			_ = h.Push(raw)
			h.Drain(t, 5*time.Second)
			return "nobody signed"
		},
		"nonsense": func(t *testing.T, h *meshtest.Hostile, _ sign.Key, _ weft.Hash) string {
			_ = h.Push([]byte("this is no record"))
			h.Drain(t, 5*time.Second)
			return "no record"
		},
		"half a batch": func(t *testing.T, h *meshtest.Hostile, _ sign.Key, _ weft.Hash) string {
			_ = h.Frame(6, []byte{0, 0, 4, 0, 'x'})
			h.Drain(t, 5*time.Second)
			return "a record of 1024 bytes is announced"
		},
		"replays": func(t *testing.T, h *meshtest.Hostile, key sign.Key, mesh weft.Hash) string {
			raw := head(t, key, mesh, "sales.p", 1, 10)
			for range 5000 {
				if h.Push(raw) != nil {
					break
				}
			}
			h.Drain(t, 5*time.Second)
			return "again and again"
		},
		"a flood": func(t *testing.T, h *meshtest.Hostile, key sign.Key, mesh weft.Hash) string {
			for i := range 10_000 {
				if h.Push(head(t, key, mesh, "sales.p", uint64(i+1), 60_000)) != nil {
					break
				}
			}
			h.Drain(t, time.Minute)
			return "it floods"
		},
		"questions": func(t *testing.T, h *meshtest.Hostile, _ sign.Key, _ weft.Hash) string {
			for i := range 100_000 { // and it reads no answer
				if h.Frame(7, append(binary.BigEndian.AppendUint32(nil, uint32(i)), 1, 1, 0, 0)) != nil {
					break
				}
			}
			h.Drain(t, time.Minute)
			return "faster than it takes"
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := meshtest.NewNetwork()
				nodes := mesh(t, n, 4, plain)
				host, key := turned(t, n, nodes[0], "bad")
				var told string
				for range 2 {
					h, err := host.Connect(key, nodes[1].Host.Addr())
					if err == nil {
						err = h.Link(nodes[0].ID())
					}
					if told != "" {
						if err == nil {
							t.Error("it is taken back at once")
						}
						break
					}
					if err != nil {
						t.Fatal(err)
					}
					told = attack(t, h, key, nodes[0].ID())
				}
				if c := nodes[1].Log.Count("misbehaves"); c != 1 || !nodes[1].Log.Says("misbehaves", told) {
					t.Errorf("it is logged %d times", c)
					t.Log(nodes[1].Log.String())
				}
				// The node is up, and the others have not cut each other off.
				nodes[1].Card(t, product(1), "after")
				meshtest.Within(t, 2*period, 10*time.Millisecond, "the nodes hold the same", func() bool { return meshtest.Same(nodes...) })
				knows(t, nodes, 1, "after")
				for i, x := range nodes {
					if i != 1 && x.Log.Count("misbehaves") > 0 {
						t.Errorf("node %d: %s", i, x.Log.String())
					}
				}
			})
		})
	}
}

// Links that end within a frame harm nobody and are nobody's fault.
func TestTruncatedFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := meshtest.NewNetwork()
		nodes := mesh(t, n, 2, plain)
		host, key := turned(t, n, nodes[0], "bad")
		for i := range 20 {
			h, err := host.Connect(key, nodes[1].Host.Addr())
			if err != nil {
				t.Fatal(err)
			}
			if err := h.Link(nodes[0].ID()); err != nil {
				t.Fatal(err)
			}
			b := append(binary.BigEndian.AppendUint32(nil, 100), 6)
			_, _ = h.Write(append(b, make([]byte, 50)...)[:i+1])
			_ = h.Close()
			time.Sleep(100 * time.Millisecond)
		}
		if nodes[1].Log.Count("misbehaves") != 0 {
			t.Error(nodes[1].Log.String())
		}
		nodes[1].Card(t, product(1), "after")
		time.Sleep(time.Second)
		knows(t, nodes, 1, "after")
	})
}

// Who is no member gets nothing: no answer, no name, no other route than to join, and
// that only while an invitation is open.
func TestStrangers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := meshtest.NewNetwork()
		a := n.Start(t, "a", meshtest.Options{})
		host := n.Host("stranger")
		refused := func(what string, ask func(h *meshtest.Hostile) error) {
			t.Helper()
			h, err := host.Connect(sign.NewKey(), a.Host.Addr())
			if err == nil {
				err = ask(h)
				_ = h.Close()
			}
			if err == nil {
				t.Errorf("%s: it is answered", what)
			}
		}
		link := func(h *meshtest.Hostile) error { return h.Link(a.ID()) }
		ask := func(path string) func(h *meshtest.Hostile) error {
			return func(h *meshtest.Hostile) error { _, err := h.Ask("POST", path, "{}"); return err }
		}
		refused("a node in no mesh", link)
		if err := a.Found(t.Context(), peer.Founding{Name: "m", Domains: []string{"sales"}}); err != nil {
			t.Fatal(err)
		}
		refused("a link", link)
		refused("to join without an invitation", ask("/peer/v1/join"))
		if _, err := a.Invite(t.Context(), peer.Invitation{Domain: "sales", Expires: time.Hour}); err != nil {
			t.Fatal(err)
		}
		refused("a link while an invitation is open", link)
		refused("another route", ask("/peer/v1/relay/call?node="+a.Self().String()))
		h, err := host.Connect(sign.NewKey(), a.Host.Addr())
		if err != nil {
			t.Fatal(err)
		}
		if code, err := h.Ask("POST", "/peer/v1/join", "nonsense"); err != nil || code != 422 {
			t.Errorf("a request that is none: %d, %v", code, err)
		}
		if _, err := h.Ask("POST", "/peer/v1/join", "nonsense"); err == nil {
			t.Error("a second request over the same connection")
		}
		time.Sleep(2 * time.Hour)
		refused("to join once the invitation has expired", ask("/peer/v1/join"))

		// So many strangers and no more.
		if _, err := a.Invite(t.Context(), peer.Invitation{Domain: "sales", Expires: time.Hour}); err != nil {
			t.Fatal(err)
		}
		open := 0
		for range 20 {
			h, err := host.Connect(sign.NewKey(), a.Host.Addr())
			if err != nil {
				continue
			}
			_ = h.SetReadDeadline(time.Now().Add(time.Second))
			if _, err := h.R.ReadByte(); err != nil && strings.Contains(err.Error(), "timeout") || strings.Contains(fmt.Sprint(err), "deadline") {
				open++
			}
		}
		if open == 0 || open > 8 {
			t.Errorf("%d strangers are connected at once", open)
		}
	})
}
