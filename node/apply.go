package node

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"weft"
	"weft/contract"
	"weft/records"
	"weft/run"
	"weft/serve"
)

// Apply takes a product folder: checks it, says what differs from the one before,
// records it with its git revision in the books and in a commit, and loads.
func (n *Node) Apply(ctx context.Context, s weft.Subject, r serve.ApplyRequest, progress serve.Progress) (*serve.ApplyResult, error) {
	f, faults, err := readArchive(r.Archive)
	if err != nil {
		return nil, err
	}
	res := &serve.ApplyResult{Faults: faults}
	if f != nil {
		res.Product = f.Name
	}
	if f == nil || contract.HasErrors(faults) {
		res.Outcome, res.Message = serve.OutcomeFaults, "the folder has faults; nothing was changed"
		return res, nil
	}
	if err := n.mayHold(f.Name.Domain); err != nil {
		return nil, err
	}
	if err := n.mayOwn(s, "apply the folder", f.Name); err != nil {
		return nil, err
	}
	if r.Env == "" {
		r.Env = n.conf().Env
	}
	if err := n.checkServers(f, r.Env); err != nil {
		return nil, err
	}
	old := n.known(f.Name)
	res.New = old == nil
	var before *contract.Folder
	if old != nil {
		if before, err = old.folderBefore(ctx); err != nil {
			return nil, err
		}
	}
	res.Differences = append(differences(before, f), cutOffs(f, n.cutOff(before, f))...)
	if !r.Breaking && breaksReaders(before, f, res.Differences) {
		res.Outcome = serve.OutcomeBreaks
		res.Message = fmt.Sprintf("nothing was changed: readers of version %s may fail on it", or(before.Version, "(none)"))
		return res, nil
	}
	end, err := n.work.begin("apply the folder", f.Name.String())
	if err != nil {
		return nil, err
	}
	defer end()
	if r.DryRun {
		if old != nil && old.runs(f, r) {
			res.Outcome, res.Message = serve.OutcomeUnchanged, sameFolder
			return res, nil
		}
		res.Outcome, res.Message = serve.OutcomePlanned, "nothing was changed: this was a dry run"
		return res, nil
	}
	if err := n.room("apply", f.Name.String()); err != nil {
		return nil, err
	}
	return n.take(ctx, f, r, progress, res)
}

// Applied is a folder that the node runs.
type Applied struct {
	Name    weft.Name
	Folder  weft.Hash
	Dir     string // where it stood when it was applied, empty where it came from elsewhere
	Retired bool
}

// Applied lists what the node runs, by address; it opens no product.
func (n *Node) Applied() []Applied {
	var out []Applied
	for _, p := range n.all() {
		rec := p.record()
		out = append(out, Applied{Name: rec.Name, Folder: rec.Folder, Dir: rec.Dir, Retired: rec.Retired})
	}
	return out
}

// checkServers finds out before anything is changed that each source has a
// server for the environment.
func (n *Node) checkServers(f *contract.Folder, env string) error {
	for _, in := range f.Inputs {
		if in.Contract == nil {
			continue
		}
		if _, err := in.Contract.Server(env); err != nil {
			return err
		}
	}
	return nil
}

const sameFolder = "the folder is the one that runs already"

// runs reports whether an apply would bring nothing that the product does not run.
func (p *product) runs(f *contract.Folder, r serve.ApplyRequest) bool {
	rec := p.record()
	return rec.Folder == f.Hash && rec.Dir == r.Dir && rec.Env == r.Env && !rec.Retired
}

// take makes the folder the product's current one.
func (n *Node) take(ctx context.Context, f *contract.Folder, r serve.ApplyRequest, progress serve.Progress, res *serve.ApplyResult) (*serve.ApplyResult, error) {
	p, same, err := n.adopt(ctx, f, r)
	if err != nil {
		return nil, err
	}
	release, err := p.hold(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	if same && p.published() {
		res.Outcome, res.Message = serve.OutcomeUnchanged, sameFolder
		return res, nil
	}
	if p.record().Paused {
		res.Outcome, res.Message = serve.OutcomeApplied, "the product is paused: the folder takes effect with `weft resume`"
		return res, nil
	}
	l := p.load(ctx, request{cause: weft.CauseCode, progress: progress})
	if l.err != nil && !l.refused {
		return nil, l.err
	}
	res.Verdict, res.Notes = l.verdict, l.notes
	switch {
	case l.refused:
		res.Outcome, res.Message = serve.OutcomeRefused, l.err.Error()
	case l.commit != nil:
		res.Outcome, res.Commit = serve.OutcomeCommitted, commitInfo(*l.commit)
	default:
		res.Outcome, res.Message = serve.OutcomeApplied, "the folder was taken; its rows are the same"
	}
	return res, nil
}

// folderBefore is the folder that an apply replaces; nil where this Weft cannot
// make out what it says, which the apply is to mend.
func (p *product) folderBefore(ctx context.Context) (*contract.Folder, error) {
	f, err := p.readFolder(ctx)
	if errors.Is(err, errFaultyFolder) {
		return nil, nil
	}
	return f, err
}

// adopt records the folder and makes or changes the running product; same says
// that it runs already.
func (n *Node) adopt(ctx context.Context, f *contract.Folder, r serve.ApplyRequest) (p *product, same bool, err error) {
	rev := r.Revision
	if rev != "" && r.Dirty {
		rev += "+"
	}
	rec := records.Product{
		Name: f.Name, Folder: f.Hash, Dir: r.Dir, Revision: rev, Env: r.Env, Applied: n.env.Clock.Now(),
	}
	if p, err = n.adoptName(ctx, rec, r.Archive); err != nil {
		return nil, false, err
	}
	done, err := p.change("apply the folder")
	if err != nil {
		return nil, false, err
	}
	defer done()
	if same = p.runs(f, r); same {
		rec = p.record()
	} else {
		was := p.record()
		rec.ID, rec.Paused = was.ID, was.Paused
		if err := n.books.PutProduct(ctx, rec, r.Archive); err != nil {
			return nil, false, err
		}
	}
	release, err := p.holdAs(ctx, &rec)
	if err != nil {
		return nil, false, err
	}
	defer release()
	if last, ok := p.store.Last(); same && ok && last.Folder == f.Hash {
		return p, true, nil
	}
	return p, false, p.applied(ctx, f, rec)
}

// adoptName is the product of rec's name. A new one is in the books and listed from
// here on, whatever becomes of its first load: the name is taken.
func (n *Node) adoptName(ctx context.Context, rec records.Product, archive []byte) (*product, error) {
	n.adopting.Lock()
	defer n.adopting.Unlock()
	if p := n.known(rec.Name); p != nil {
		return p, nil
	}
	rec.ID = n.newIdentity(rec.Name)
	if err := n.books.PutProduct(ctx, rec, archive); err != nil {
		return nil, err
	}
	p := newProduct(n, rec)
	n.put(p)
	n.sched.at(p, n.env.Clock.Now().Add(defaultInterval)) // whoever applies it loads it
	return p, nil
}

// applied makes the folder current and says so in a commit: applying is part of
// the product's history.
func (p *product) applied(ctx context.Context, f *contract.Folder, rec records.Product) error {
	c := p.candidate(f, rec, weft.CauseApply)
	if _, err := p.store.Append(ctx, c); err != nil {
		return err
	}
	p.take(ctx, f, rec)
	p.noteCommit()
	return nil
}

// take makes a folder and a record that are in the books the current ones.
func (p *product) take(ctx context.Context, f *contract.Folder, rec records.Product) {
	b := briefOf(f, rec.Env)
	p.mu.Lock()
	was := p.brief
	p.folder, p.brief, p.rec = f, b, rec
	p.mu.Unlock()
	p.node.keepBrief(ctx, rec, b)
	p.node.watch.set(p)
	if was.Life != b.Life || !reflect.DeepEqual(was.Grants, b.Grants) {
		p.node.notify(p.name()) // who may read it has changed
	}
	if !slices.Equal(was.Upstream, b.Upstream) {
		p.node.spareCopies()
	}
}

// published says whether the product has a table that can be read.
func (p *product) published() bool {
	s, err := p.store.Snapshot(context.Background(), 0)
	if err != nil {
		return false
	}
	defer func() { _ = s.Close() }()
	for _, t := range s.Tables() {
		if !t.Hidden {
			return true
		}
	}
	return false
}

// cutOffs are the differences that cut products of other domains off what they read.
func cutOffs(f *contract.Folder, names []weft.Name) []serve.Difference {
	var out []serve.Difference
	for _, name := range names {
		out = append(out, serve.Difference{
			Where: f.Name.String(), What: "reader cut off", Before: name.String(), Breaking: true,
			Text: fmt.Sprintf("%s is made from it and may not read it any more", name),
		})
	}
	return out
}

func differences(before, after *contract.Folder) []serve.Difference {
	if before == nil {
		return nil
	}
	var out []serve.Difference
	for _, d := range contract.Diff(before, after) {
		out = append(out, serve.Difference{
			Where: d.Where, What: d.What, Before: d.Before, After: d.After, Breaking: d.Breaking, Rewrites: d.Rewrites, Text: d.Text,
		})
	}
	return out
}

// breaksReaders says that a change must not be taken without a word: somebody was
// told that he may rely on what it takes away, and the major version is the same.
func breaksReaders(before, after *contract.Folder, diffs []serve.Difference) bool {
	if before == nil || before.Life != weft.LifeActive && before.Life != weft.LifeDeprecated {
		return false
	}
	major := func(v string) int {
		head, _, _ := strings.Cut(strings.TrimPrefix(v, "v"), ".")
		n, _ := strconv.Atoi(head) // no number is version 0
		return n
	}
	return major(after.Version) <= major(before.Version) && slices.ContainsFunc(diffs, func(d serve.Difference) bool { return d.Breaking })
}

func commitInfo(c weft.Commit) *serve.CommitInfo {
	cut := weft.Cut{{Product: c.Product, ID: c.ID, Incarnation: c.Incarnation, Seq: c.Seq, Hash: c.Hash, Time: c.Time}}
	return &serve.CommitInfo{Commit: c, Token: cut.Token()}
}

func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand aborts the program instead
	return hex.EncodeToString(b[:])
}

// Refresh reads the sources of a product now.
func (n *Node) Refresh(ctx context.Context, s weft.Subject, name weft.Name, r serve.RefreshRequest, progress serve.Progress) (*serve.RefreshResult, error) {
	p, err := n.ownedBy(s, "refresh", name)
	if err != nil {
		return nil, err
	}
	if err := p.canLoad(); err != nil {
		return nil, err
	}
	end, err := n.work.begin("refresh", name.String())
	if err != nil {
		return nil, err
	}
	defer end()
	req := request{cause: weft.CauseLoad, asked: true, progress: progress, by: run.LogValue(ctx, logRequest)}
	if r.From != nil || r.To != nil {
		req.window = &window{r.From, r.To}
	}
	res := &serve.RefreshResult{Product: name}
	if !r.Wait {
		if err := p.enqueue(req); err != nil {
			return nil, err
		}
		res.Outcome = serve.OutcomeStarted
		return res, nil
	}
	l := p.load(ctx, req)
	if l.err != nil && !l.refused {
		return nil, l.err
	}
	res.Verdict, res.Notes = l.verdict, l.notes
	switch {
	case l.refused:
		res.Outcome, res.Message = serve.OutcomeRefused, l.err.Error()
	case l.commit != nil:
		res.Outcome, res.Commit = serve.OutcomeCommitted, commitInfo(*l.commit)
	default:
		res.Outcome, res.Message = serve.OutcomeUnchanged, "the source has not changed"
	}
	return res, nil
}

// canLoad refuses a load of a product that does not load.
func (p *product) canLoad() error {
	rec := p.record()
	switch {
	case rec.Retired:
		return weft.Errorf(weft.KindConflict, "load", rec.Name.String(), "the product is retired").WithHint("apply its folder again to bring it back")
	case rec.Paused:
		return weft.Errorf(weft.KindConflict, "load", rec.Name.String(), "the product is paused").WithHint("weft resume %s", rec.Name)
	}
	return nil
}

// dir is where relative paths of the product's sources start; a folder that was
// applied from elsewhere has none, and its samples are unpacked for it.
func (p *product) dir() (string, error) {
	f, rec := p.current()
	if rec.Dir != "" {
		return rec.Dir, nil
	}
	dir := p.node.cfg.path("products", rec.ID, "folder")
	for name, b := range f.Files {
		to := filepath.Join(dir, filepath.FromSlash(name))
		if old, err := os.ReadFile(to); err == nil && string(old) == string(b) {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return "", weft.Errorf(weft.KindUnavailable, "unpack the folder of", rec.Name.String(), "%w", err)
		}
		if err := os.WriteFile(to, b, 0o600); err != nil {
			return "", weft.Errorf(weft.KindUnavailable, "unpack the folder of", rec.Name.String(), "%w", err)
		}
		_ = os.Chtimes(to, time.Unix(0, 0), time.Unix(0, 0)) // the archive says nothing of times
	}
	return dir, nil
}
