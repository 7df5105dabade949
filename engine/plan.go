package engine

import (
	"time"

	duck "github.com/duckdb/duckdb-go-bindings"
)

// A question that is asked again, to the letter, over the same views, in the
// transaction that stands, has the plan that it had. A plan holds the files that it
// reads open, and what its last run has made: so that of a long one is not kept.
type plan struct {
	sql string
	st  duck.PreparedStatement
}

// planTime is how long a question may take whose plan is kept.
const planTime = 20 * time.Millisecond

// prepared is the plan of sql, which is the kept one or becomes it.
func (k *worker) prepared(sql string) (duck.PreparedStatement, error) {
	if k.plan.st.Ptr != nil && k.plan.sql == sql {
		return k.plan.st, nil
	}
	k.plan.drop()
	st, err := k.db.prepare(sql)
	if err == nil {
		k.plan = plan{sql, st}
	}
	return st, err
}

// drop gives the plan up. Idempotent.
func (p *plan) drop() {
	duck.DestroyPrepare(&p.st)
	*p = plan{}
}
