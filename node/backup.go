package node

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"weft"
	"weft/backup"
	"weft/engine"
	"weft/serve"
	"weft/store"
)

// Backup adds a state to the backup folder r.Dir. Questions and loads go on.
func (n *Node) Backup(ctx context.Context, _ weft.Subject, r serve.BackupRequest, progress serve.Progress) (*serve.BackupResult, error) {
	end, err := n.work.begin("back up to", r.Dir)
	if err != nil {
		return nil, err
	}
	defer end()
	began := time.Now()
	var warnings []string
	warn := func(err error) {
		n.env.Log.WarnContext(ctx, "backup", "dir", r.Dir, "error", err)
		warnings = append(warnings, err.Error()+" ("+weft.HintOf(err)+")")
	}
	st, err := n.backUp(ctx, r, progress, warn)
	n.count.backup(time.Since(began), st, err, n.env.Clock.Now())
	if weft.KindOf(err) == weft.KindCancelled {
		n.env.Log.InfoContext(ctx, "backup broken off", "dir", r.Dir)
		return nil, err
	}
	if err != nil {
		n.env.Log.ErrorContext(ctx, "backup", "dir", r.Dir, "error", err)
		return nil, err
	}
	n.env.Log.InfoContext(ctx, "backup", slog.String("dir", r.Dir), slog.String("state", st.ID), slog.Int("products", len(st.Products)),
		slog.Int64("bytes", st.Bytes), slog.Int64("copied", st.Copied), slog.Float64("seconds", time.Since(began).Seconds()))
	return &serve.BackupResult{
		State: st.ID, Cut: st.Cut, CutText: st.CutPoints().String(), Products: len(st.Products), Bytes: st.Bytes, Copied: st.Copied,
		Keys: len(st.Keys) > 0, Seconds: time.Since(began).Seconds(), Warnings: warnings,
	}, nil
}

func (n *Node) backUp(ctx context.Context, r serve.BackupRequest, progress serve.Progress, warn func(error)) (*backup.State, error) {
	dir, err := n.backupDir(r.Dir)
	if err != nil {
		return nil, err
	}
	src := backup.Source{
		Node: n.conf().Name, Version: n.cfg.Version, Data: n.cfg.Data, Whole: len(r.Products) == 0,
		Books: n.books.CopyTo, Known: n.knownIDs, Now: n.env.Clock.Now,
	}
	if n.mesh != nil {
		src.Mesh = n.mesh.Backup
	}
	products := n.all()
	if !src.Whole {
		products = nil
		for _, name := range r.Products {
			p, err := n.find(name)
			if err != nil {
				return nil, err
			}
			products = append(products, p)
		}
	}
	for _, p := range products {
		src.Products = append(src.Products, p.image)
	}
	return backup.Save(ctx, dir, src, backup.Options{Keep: r.Keep, NoKeys: r.NoKeys, Progress: backupProgress(progress), Warn: warn})
}

// backupDir is the folder without links. One that a backup must not be in is
// refused.
func (n *Node) backupDir(dir string) (string, error) {
	const op = "back up to"
	if !filepath.IsAbs(dir) {
		return "", weft.Errorf(weft.KindInvalid, op, dir, "the folder must be an absolute path on the node's machine")
	}
	real, data := engine.Resolved(filepath.Clean(dir)), engine.Resolved(n.cfg.Data)
	if within(real, data) || within(data, real) {
		return "", weft.Errorf(weft.KindInvalid, op, dir, "the backup and the data folder %s would be in one another", n.cfg.Data).
			WithHint("give a folder outside, best on another disk")
	}
	return real, nil
}

// knownIDs are the products that the books know.
func (n *Node) knownIDs(ctx context.Context) (map[string]bool, error) {
	ps, err := n.books.Products(ctx)
	if err != nil {
		return nil, err
	}
	ids := make(map[string]bool, len(ps))
	for _, p := range ps {
		ids[p.ID] = true
	}
	return ids, nil
}

// image fixes the product's data for a backup; it is held until that is closed.
func (p *product) image(ctx context.Context) (*store.Image, error) {
	release, err := p.hold(ctx)
	if err != nil {
		if ids, e := p.node.knownIDs(ctx); e == nil && !ids[p.record().ID] {
			return nil, backup.ErrGone
		}
		return nil, fmt.Errorf("back up %s: %w", p.name(), err)
	}
	m, err := p.store.Image(ctx)
	if err != nil {
		release()
		return nil, err
	}
	m.OnClose(release)
	return m, nil
}

// backupProgress tells a waiting client how far a backup is.
func backupProgress(tell serve.Progress) func(backup.Progress) {
	if tell == nil {
		return nil
	}
	var last time.Time
	return func(g backup.Progress) {
		if now := time.Now(); now.Sub(last) >= 200*time.Millisecond {
			last = now
			tell(serve.Event{Phase: "copy", Product: g.Product, Bytes: g.Copied})
		}
	}
}
