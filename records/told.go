package records

import (
	"context"
	"time"
)

// Told is what somebody told of a job: that it reads or writes a dataset.
type Told struct {
	JobNamespace, JobName string
	Namespace, Name       string // of the dataset
	Output                bool   // the job writes it
	Columns               []byte // of an output: which columns are made from which, the caller's own text; may be nil
	Time                  time.Time
}

// What is kept of what was told: the newest.
const (
	MaxTold      = 20_000
	maxToldBytes = 32 << 20
)

// forgetTold leaves the newest.
const forgetTold = `DELETE FROM told WHERE rowid IN (SELECT id FROM (
	SELECT rowid AS id, row_number() OVER newest AS n,
		sum(length(job_namespace)+length(job_name)+length(namespace)+length(name)+coalesce(length(columns), 0)) OVER newest AS bytes
	FROM told WINDOW newest AS (ORDER BY time DESC, rowid DESC)
) WHERE n > ? OR bytes > ?)`

// PutTold keeps what was told, in the place of what was told of the same job and
// dataset before, and forgets the oldest.
func (b *Books) PutTold(ctx context.Context, list []Told) error {
	const op = "record what was told"
	tx, err := b.db.BeginTx(ctx, nil)
	if err != nil {
		return wrap(op, err)
	}
	defer func() { _ = tx.Rollback() }()
	for _, t := range list {
		_, err := tx.ExecContext(ctx, `INSERT INTO told(job_namespace, job_name, namespace, name, output, columns, time) VALUES (?,?,?,?,?,?,?)
			ON CONFLICT DO UPDATE SET columns=coalesce(excluded.columns, columns), time=max(time, excluded.time)`,
			t.JobNamespace, t.JobName, t.Namespace, t.Name, t.Output, t.Columns, t.Time.UnixMicro())
		if err != nil {
			return wrap(op, err)
		}
	}
	if _, err := tx.ExecContext(ctx, forgetTold, MaxTold, maxToldBytes); err != nil {
		return wrap(op, err)
	}
	return wrap(op, tx.Commit())
}

// AllTold returns what was told, the oldest first.
func (b *Books) AllTold(ctx context.Context) ([]Told, error) {
	const op = "read what was told"
	rows, err := b.db.QueryContext(ctx, `SELECT job_namespace, job_name, namespace, name, output, columns, time FROM told ORDER BY time, rowid`)
	if err != nil {
		return nil, wrap(op, err)
	}
	defer func() { _ = rows.Close() }()
	var out []Told
	for rows.Next() {
		var t Told
		var at int64
		if err := rows.Scan(&t.JobNamespace, &t.JobName, &t.Namespace, &t.Name, &t.Output, &t.Columns, &at); err != nil {
			return nil, wrap(op, err)
		}
		t.Time = time.UnixMicro(at).UTC()
		out = append(out, t)
	}
	return out, wrap(op, rows.Err())
}
