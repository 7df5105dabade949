package node

import (
	"context"
	"errors"
	"os"
	"time"

	"weft"
	"weft/contract"
	"weft/engine"
	"weft/publish"
	"weft/records"
	"weft/store"
	"weft/transform"
	"weft/verify"
)

// flow is the path of the data, once: source → ingest → transform → verify →
// publish → store. A row passes each verb once; nothing is visible before the
// commit, and a source is acknowledged only after it.
//
//	read       rows of every input port, staged as Parquet
//	transform  the product's SQL over the state of its inputs
//	verify     the contract's checks: pass, quarantine or refuse
//	publish    what differs from the last commit becomes the next one
func (p *product) flow(ctx context.Context, r request, a *records.Attempt) loaded {
	f, rec := p.current()
	l := &load{p: p, folder: f, rec: rec, req: r, attempt: a, began: p.node.env.Clock.Now()}
	defer l.close()
	out := l.run(ctx)
	l.phase("")
	out.notes = l.notes
	return out
}

// load is one run of the flow.
type load struct {
	p       *product
	folder  *contract.Folder
	rec     records.Product
	req     request
	attempt *records.Attempt
	began   time.Time

	stage   string          // folder for everything that is not committed yet
	session engine.Session  // the loader worker, opened when there is something to do
	prior   *store.Snapshot // the published state
	last    weft.Commit     // of the published state

	phaseName  string
	phaseBegan time.Time

	inputs    []input        // what was read, by port
	positions weft.Positions // how far every port is read after this load
	notes     []string
	runs      bool // the product is made anew, whatever inputs are still to be looked at
	acks      []func(context.Context) error
}

func (l *load) run(ctx context.Context) loaded {
	if err := l.open(ctx); err != nil {
		return loaded{err: err}
	}
	unchanged, err := l.read(ctx)
	if err != nil {
		return loaded{err: err, refused: weft.KindOf(err) == weft.KindDrift || errors.Is(err, errNotReader)}
	}
	if unchanged {
		return loaded{}
	}
	given, err := l.verifyInputs(ctx)
	if err != nil {
		return loaded{err: err}
	}
	if !given.Pass {
		return loaded{err: given.Refusal, verdict: &given.Verdict, refused: true}
	}
	outputs, err := l.transform(ctx)
	if err != nil {
		return loaded{err: err, refused: weft.KindOf(err) == weft.KindContract || errors.Is(err, errNotReader)}
	}
	outcome, err := l.verify(ctx, outputs)
	if err != nil {
		return loaded{err: err}
	}
	joinVerdicts(outcome, given)
	if !outcome.Pass {
		return loaded{err: outcome.Refusal, verdict: &outcome.Verdict, refused: true}
	}
	if err := l.verifyShards(ctx, outcome.Tables); err != nil {
		return loaded{err: err, verdict: &outcome.Verdict, refused: weft.KindOf(err) == weft.KindContract}
	}
	commit, err := l.publish(ctx, outcome)
	if err != nil {
		return loaded{err: err, verdict: &outcome.Verdict}
	}
	for _, ack := range l.acks {
		if err := ack(ctx); err != nil {
			l.notes = append(l.notes, "the source was not acknowledged: "+err.Error())
		}
	}
	return loaded{commit: commit, verdict: &outcome.Verdict}
}

// open fixes the state that the load starts from and makes its staging folder.
func (l *load) open(ctx context.Context) error {
	var err error
	if l.prior, err = l.p.store.Snapshot(ctx, 0); err != nil {
		return err
	}
	l.last, _ = l.p.store.Last()
	l.positions = weft.Positions{}
	for port, pos := range l.last.Positions {
		l.positions[port] = pos
	}
	l.stage = l.p.node.cfg.stageDir(l.rec.ID, l.p.node.stageSeq.next())
	if err := os.MkdirAll(l.stage, 0o700); err != nil {
		return weft.Errorf(weft.KindUnavailable, "make the staging folder", "", "%w", err)
	}
	return nil
}

// close drops what was staged and not committed.
func (l *load) close() {
	if l.session != nil {
		_ = l.session.Close()
	}
	if l.prior != nil {
		_ = l.prior.Close()
	}
	if l.stage != "" {
		_ = os.RemoveAll(l.stage)
	}
}

// transform makes the output tables: those with SQL from the state of all
// inputs, the others of what their input staged.
func (l *load) transform(ctx context.Context) ([]verify.Candidate, error) {
	l.phase("transform")
	var staged []store.Staged
	for _, x := range l.inputs {
		staged = append(staged, x.staged...)
	}
	made, err := transform.Run(ctx, transform.Request{
		Folder: l.folder, Inputs: l.states(), Stage: l.stage, Session: l.session, Now: l.began,
	})
	if err != nil {
		return nil, l.withheld(err)
	}
	passed, err := transform.Passthrough(ctx, l.session, l.folder, staged, l.stage)
	if err != nil {
		return nil, err
	}
	var out []verify.Candidate
	for _, t := range l.folder.Tables() {
		for _, s := range append(made, passed...) {
			if s.Table == t.Name {
				out = append(out, verify.Candidate{Table: t, Staged: s, Mode: l.modeOf(t), Prior: l.renamed(ctx, t)})
			}
		}
	}
	return out, nil
}

// verify holds the candidate against the contract.
func (l *load) verify(ctx context.Context, tables []verify.Candidate) (*verify.Outcome, error) {
	l.phase("verify")
	return verify.Check(ctx, l.session, verify.Request{Product: l.folder.Name, Tables: tables, Stage: l.stage, Now: l.began})
}

// publish commits what differs, all tables at once; nil where nothing does.
func (l *load) publish(ctx context.Context, o *verify.Outcome) (*weft.Commit, error) {
	l.phase("publish")
	changes, err := l.planInputs(ctx)
	if err != nil {
		return nil, err
	}
	whole := l.wholeInputs()
	for _, s := range o.Tables {
		t := l.folder.Table(s.Table)
		d, err := publish.Plan(ctx, l.session, publish.Request{
			Table: t.Name, Key: t.Key, Staged: s, Mode: l.modeOf(t), Columns: t,
			Prior: l.relation(t.Name), PriorKey: l.priorKey(t.Name), Index: l.p.store, Stage: l.stage,
			Renamed: t.Renamed(l.madeBy(ctx, t)), Defaults: defaults(t),
		})
		if err != nil {
			return nil, err
		}
		changes = append(changes, d)
		if s.Full {
			whole = append(whole, t.Name)
		}
	}
	held, err := publish.PlanQuarantine(ctx, l.session, publish.QuarantineRequest{
		Table: store.QuarantineTable, Staged: o.Quarantine, Reloaded: whole, Prior: l.relation(store.QuarantineTable), Stage: l.stage,
	})
	if err != nil {
		return nil, err
	}
	changes = append(changes, held)
	c := l.p.candidate(l.folder, l.rec, l.cause())
	c.Positions, c.Verdict = l.positions, &o.Verdict
	expect := l.last.Seq
	c.Expect = &expect
	commit, changed, err := publish.Publish(ctx, l.p.store, c, changes...)
	if err != nil {
		return nil, err
	}
	at := l.last.Seq
	if changed {
		at = commit.Seq
	}
	l.p.mu.Lock()
	if l.p.ran != l.rec.Folder {
		l.p.ran, l.p.ranAt = l.rec.Folder, at
	}
	l.p.mu.Unlock()
	if !changed {
		return nil, nil
	}
	return &commit, nil
}

// candidate is the start of every commit of the product: who made it and from
// which folder.
func (p *product) candidate(f *contract.Folder, rec records.Product, cause weft.Cause) store.Candidate {
	c := store.Candidate{Cause: cause, Folder: rec.Folder, Revision: rec.Revision}
	for _, o := range f.Outputs {
		c.Contract = o.Contract.Hash
	}
	if last, ok := p.store.Last(); ok {
		c.Positions = last.Positions
	}
	return c
}
