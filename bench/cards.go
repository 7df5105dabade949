package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"

	"weft/catalog/catalogtest"
	"weft/peer"
	"weft/run"
	"weft/sign"
)

// foreignMesh makes the folder of a node that holds the cards and heads of another
// one, signed and verified, and leaves it as it is where an earlier run made it.
func foreignMesh(ctx context.Context, dir string, m *catalogtest.Mesh, cards int) error {
	mark := filepath.Join(dir, fmt.Sprintf("complete-%d", cards))
	if _, err := os.Stat(mark); err == nil {
		return nil
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	var domains []string
	for i := range 200 {
		domains = append(domains, m.Domain(i))
	}
	there, err := openMesh(ctx, filepath.Join(dir, "there"))
	if err != nil {
		return err
	}
	here, err := openMesh(ctx, filepath.Join(dir, "here", ".weft", "mesh"))
	if err != nil {
		return errors.Join(err, there.Close())
	}
	err = there.Found(ctx, peer.Founding{Name: "bench", Domains: domains})
	if err == nil {
		err = enter(ctx, there, here, filepath.Join(dir, "here", ".weft", "mesh", "node.key"))
	}
	if err == nil {
		err = addCards(ctx, there, here, filepath.Join(dir, "there", "node.key"), m, cards)
	}
	if err := errors.Join(err, there.Close(), here.Close()); err != nil {
		return err
	}
	return os.WriteFile(mark, nil, 0o644)
}

func openMesh(ctx context.Context, dir string) (*peer.Mesh, error) {
	m, err := peer.New(peer.Config{Dir: dir, Name: filepath.Base(dir), Version: "bench", Advertise: []string{"127.0.0.1:1"}, Env: run.Quiet()})
	if err != nil {
		return nil, err
	}
	return m, m.Open(ctx)
}

// enter lets one node into another's mesh, without a network.
func enter(ctx context.Context, there, here *peer.Mesh, hereKey string) error {
	token, err := there.Invite(ctx, peer.Invitation{})
	if err != nil {
		return err
	}
	request, _, err := here.Ask(ctx, token)
	if err != nil {
		return err
	}
	key, err := sign.LoadKey(hereKey)
	if err != nil {
		return err
	}
	reply, err := there.Admit(ctx, key.ID(), request)
	if err != nil {
		return err
	}
	return here.Enter(ctx, token, reply)
}

// addCards seals cards and heads with a node's key and adds them to another's set,
// on all processors.
func addCards(ctx context.Context, there, here *peer.Mesh, keyFile string, m *catalogtest.Mesh, cards int) error {
	key, err := sign.LoadKey(keyFile)
	if err != nil {
		return err
	}
	workers := runtime.GOMAXPROCS(0)
	g, ctx := errgroup.WithContext(ctx)
	for w := range workers {
		g.Go(func() error {
			for i := w; i < cards && ctx.Err() == nil; i += workers {
				card, head := m.Card(i, 1), m.Head(i, 1)
				card.Origin, head.Origin = key.ID(), key.ID()
				h := sign.Head{Mesh: there.ID(), Key: card.Product.String(), Version: 1, Time: time.Now()}
				for kind, body := range map[string]any{peer.KindCard: card, peer.KindHead: head} {
					h.Kind = kind
					r, err := sign.Seal(h, body, key)
					if err != nil {
						return err
					}
					if _, fate, err := here.Set().Add(r.Raw()); fate != peer.FateNew {
						return fmt.Errorf("the %s of %s is %s: %w", kind, h.Key, fate, err)
					}
				}
			}
			return ctx.Err()
		})
	}
	return g.Wait()
}
