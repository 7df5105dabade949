package engine

import (
	"maps"
	"slices"
	"strings"
)

// standing are the views of a transaction that is left open after a question, so that the
// next one finds those that it has too: to make one costs about as much as to ask a small
// question. The others go before it begins: nobody sees what is not his, and that no file is
// opened without leave is not all that holds him back. By name, what each says and over
// columns of which types.
type standing map[string]string

// mayStand reports whether the transaction of a job that ends well can be left
// standing: of a question (its time is its cut's, not the transaction's) whose views
// read files and sources alone.
func (k *worker) mayStand(j job) bool {
	return k.cfg.Leave && j.Do == "query" && len(j.Keys) == 0
}

// begin begins the transaction of a job, or finds one that stands, and makes the views that
// are not there.
func (k *worker) begin(j job, got *received) (drops []string, err error) {
	stays := k.mayStand(j)
	if k.standing != nil && (!stays || !k.standing.suits(j.Views, got)) {
		if err := k.fall(); err != nil {
			return nil, err
		}
	}
	made := k.standing
	if made == nil {
		if err := k.db.run("begin"); err != nil {
			return nil, err
		}
		made = standing{}
		if stays {
			k.standing = made
		}
	} else if err := k.dropOthers(j.Views); err != nil {
		return nil, err
	}
	return k.makeViews(j.Views, made, got)
}

// dropOthers takes away what stands and is none of a job's views.
func (k *worker) dropOthers(vs []View) error {
	keep := map[string]bool{}
	for _, v := range vs {
		keep[v.path()] = true
	}
	for name, says := range k.standing {
		if keep[name] || says == isSchema {
			continue
		}
		k.plan.drop()
		if err := k.db.run("drop view " + name); err != nil {
			return err
		}
		delete(k.standing, name)
	}
	return nil
}

// isSchema is what a schema says.
const isSchema = "schema"

// suits says whether what stands can become a job's views: none of these may change that
// another one reads.
func (s standing) suits(vs []View, got *received) bool {
	for _, v := range vs {
		was, ok := s[v.path()]
		if !ok || was == got.says(v) {
			continue
		}
		for name, o := range s {
			if name != v.path() && strings.Contains(strings.ToLower(o), strings.ToLower(v.Name)) {
				return false // it may be named there
			}
		}
	}
	return true
}

// fall ends a standing transaction.
func (k *worker) fall() error {
	if k.standing == nil {
		return nil
	}
	k.standing = nil
	k.plan.drop()
	return k.rollback()
}

// spoilt returns err, and ends the standing transaction in which it came.
func (k *worker) spoilt(err error) error {
	if err != nil {
		if e := k.fall(); e != nil {
			return e
		}
	}
	return err
}

func (k *worker) rollback() error {
	if err := k.db.run("rollback"); err != nil && !strings.Contains(err.Error(), "no transaction is active") {
		return classed("INTERNAL", "the statement does not end: %v", err)
	}
	return nil
}

// path is the view's name as a statement has it.
func (v View) path() string {
	if v.Schema == "" {
		return QuoteIdent(v.Name)
	}
	return QuoteIdent(v.Schema) + "." + QuoteIdent(v.Name)
}

// says is all that a view depends on: its text, and the columns of the sources in it.
func (r *received) says(v View) string {
	text := v.SQL
	for _, name := range slices.Sorted(maps.Keys(r.columns)) {
		if strings.Contains(v.SQL, "arrow_source("+QuoteLiteral(name)+")") {
			text += "\n" + name + " " + r.columns[name]
		}
	}
	return text
}

// makeViews creates the views that are not made yet, in their order, and returns what
// takes them away.
func (k *worker) makeViews(vs []View, made standing, got *received) (drops []string, err error) {
	for _, v := range vs {
		if schema := "schema " + QuoteIdent(v.Schema); v.Schema != "" && v.Schema != "main" && made[schema] == "" {
			if err := k.db.run("create " + schema); err != nil {
				return drops, err
			}
			made[schema] = isSchema
			drops = append(drops, "drop "+schema)
		}
		name, says := v.path(), got.says(v)
		was, there := made[name]
		if there && was == says {
			continue
		}
		if there {
			k.plan.drop()
		}
		if err := k.db.run("create or replace view " + name + " as " + v.SQL); err != nil {
			return drops, err
		}
		made[name] = says
		drops = append([]string{"drop view " + name}, drops...)
	}
	return drops, nil
}
