package main

import (
	"context"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"

	"weft"
)

// settleTime is how long nothing must change before edits are applied: editors write
// a file in several steps.
const settleTime = 300 * time.Millisecond

// maxWatched is how many folders are watched at most.
const maxWatched = 2000

// watch applies folders whenever they change, until ctx ends.
func (u *upWork) watch(ctx context.Context) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return weft.Errorf(weft.KindUnavailable, "watch the folder", u.dir, "%w", err)
	}
	defer func() { _ = w.Close() }()
	if err := watchBelow(w, u.dir); err != nil {
		return err
	}
	u.app.out.println("watching for edits")
	quiet := time.NewTimer(time.Hour)
	defer quiet.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case e, ok := <-w.Events:
			if !ok {
				return nil
			}
			if !strings.HasPrefix(filepath.Base(e.Name), ".") {
				quiet.Reset(settleTime)
			}
		case err, ok := <-w.Errors:
			if !ok {
				return nil
			}
			printError(u.app.err, weft.Errorf(weft.KindUnavailable, "watch the folder", u.dir, "%w", err))
		case <-quiet.C:
			if err := watchBelow(w, u.dir); err != nil { // new folders
				printError(u.app.err, err)
			}
			u.changed(ctx)
		}
	}
}

// changed applies the folders that are not as they were applied last.
func (u *upWork) changed(ctx context.Context) {
	folders, products := u.read()
	work := applyWork{app: u.app, to: u, local: true, here: true, breaking: true} // somebody is at work on them
	for _, f := range byInputs(folders, products) {
		p := products[f.dir]
		if u.applied[f.dir] == p.Hash {
			continue
		}
		u.applied[f.dir] = p.Hash
		res, took, err := work.one(ctx, f, p)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			printError(u.app.err, err)
		default:
			printApply(u.app.out, res, took)
		}
	}
}

// watchBelow watches dir and the folders below it but hidden ones.
func watchBelow(w *fsnotify.Watcher, dir string) error {
	n := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil || !d.IsDir():
			return nil
		case path != dir && strings.HasPrefix(d.Name(), "."):
			return fs.SkipDir
		}
		if n++; n > maxWatched {
			return weft.Errorf(weft.KindLimit, "watch the folder", dir, "there are more than %d folders below it", maxWatched)
		}
		return w.Add(path)
	})
	if err != nil && weft.KindOf(err) == weft.KindInternal {
		return weft.Errorf(weft.KindUnavailable, "watch the folder", dir, "%w", err)
	}
	return err
}
