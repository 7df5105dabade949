package openlineage

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"weft"
)

// The bounds of what is read from others.
const (
	MaxEvents   = 100     // in one message
	MaxMessage  = 1 << 20 // bytes
	maxDatasets = 200     // of one event
	maxFields   = 2000    // columns of one dataset
	maxInputs   = 20_000  // columns that the columns of one dataset are made from
	maxName     = 1000    // bytes of a namespace, a name or a column
	maxAhead    = 2 * time.Hour
)

// Read reads one run event, or a list of them, from others. What it does not know
// it leaves out; what the standard asks for must be there. now is this node's time:
// an event that claims to be of the future is refused. Errors are of KindInvalid
// and say where they are; nothing of a message with an error is given.
func Read(b []byte, now time.Time) ([]Event, error) {
	if len(b) > MaxMessage {
		return nil, invalid("", "the message has %d bytes, the most is %d", len(b), MaxMessage)
	}
	b = bytes.TrimSpace(b)
	var list []json.RawMessage
	if len(b) > 0 && b[0] == '[' {
		if err := decode(b, &list); err != nil {
			return nil, invalid("", "the message is no JSON: %s", why(err))
		}
	} else {
		list = []json.RawMessage{b}
	}
	if len(list) == 0 || len(list) > MaxEvents {
		return nil, invalid("", "the message has %d events: send 1 to %d at a time", len(list), MaxEvents)
	}
	var out []Event
	for i, raw := range list {
		at := ""
		if len(list) > 1 {
			at = fmt.Sprintf("event %d", i+1)
		}
		var e Event
		if err := decode(raw, &e); err != nil {
			return nil, invalid(at, "it is no event: %s", why(err))
		}
		if err := e.check(now); err != nil {
			return nil, invalid(at, "%s", err)
		}
		out = append(out, e)
	}
	return out, nil
}

func decode(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return fmt.Errorf("there is something behind it")
	}
	return nil
}

// why is what a decoder says, without the value that it stumbled over.
func why(err error) string {
	switch e := err.(type) {
	case *json.UnmarshalTypeError:
		return fmt.Sprintf("%s must not be a %s", e.Field, strings.Fields(e.Value + " value")[0])
	case *json.SyntaxError:
		return fmt.Sprintf("at byte %d: %s", e.Offset, e)
	case *time.ParseError:
		return "eventTime is no time such as 2026-01-31T12:00:00Z"
	}
	return err.Error()
}

func invalid(subject, format string, args ...any) error {
	return weft.Errorf(weft.KindInvalid, "read the lineage event", subject, format, args...).
		WithHint("send a RunEvent of OpenLineage: eventTime, run.runId, job.namespace, job.name and producer are required")
}

// check holds an event against the standard and the bounds.
func (e *Event) check(now time.Time) error {
	switch e.Type {
	case "", Start, Running, Complete, Abort, Fail, Other:
	default:
		return fmt.Errorf("eventType must be START, RUNNING, COMPLETE, ABORT, FAIL or OTHER")
	}
	if e.Time.IsZero() || e.Time.Year() < 1970 || e.Time.After(now.Add(maxAhead)) {
		return fmt.Errorf("eventTime is missing, or not a time up to now")
	}
	if _, err := uuid.Parse(e.Run.ID); err != nil {
		return fmt.Errorf("run.runId must be a UUID")
	}
	if e.Producer == "" || !named(e.Producer) {
		return fmt.Errorf("producer must be the URI of who made the event")
	}
	if !named(e.Job.Namespace) || !named(e.Job.Name) {
		return fmt.Errorf("job.namespace and job.name must be there, of at most %d bytes without control characters", maxName)
	}
	if len(e.Inputs)+len(e.Outputs) > maxDatasets {
		return fmt.Errorf("it has %d datasets, the most is %d", len(e.Inputs)+len(e.Outputs), maxDatasets)
	}
	for i := range e.Inputs {
		if err := e.Inputs[i].check(); err != nil {
			return fmt.Errorf("inputs[%d]: %w", i, err)
		}
	}
	for i := range e.Outputs {
		if err := e.Outputs[i].check(); err != nil {
			return fmt.Errorf("outputs[%d]: %w", i, err)
		}
	}
	return nil
}

func (d *Dataset) check() error {
	if !named(d.Namespace) || !named(d.Name) {
		return fmt.Errorf("namespace and name must be there, of at most %d bytes without control characters", maxName)
	}
	if s := d.Facets.Schema; s != nil && len(s.Fields) > maxFields {
		return fmt.Errorf("it has %d columns, the most is %d", len(s.Fields), maxFields)
	}
	c := d.Facets.Columns
	if c == nil {
		return nil
	}
	inputs := len(c.Rows)
	all := c.Rows
	for name, f := range c.Fields {
		if !named(name) {
			return fmt.Errorf("columnLineage: a column has no name, or one that none can have")
		}
		inputs += len(f.Inputs)
		all = append(all, f.Inputs...)
	}
	if len(c.Fields) > maxFields || inputs > maxInputs {
		return fmt.Errorf("columnLineage has %d columns of %d others: that is too much", len(c.Fields), inputs)
	}
	for _, in := range all {
		if !named(in.Namespace) || !named(in.Name) || !named(in.Field) {
			return fmt.Errorf("columnLineage: namespace, name and field of every input must be there")
		}
	}
	return nil
}

// named reports whether a text can be a name.
func named(s string) bool {
	return s != "" && len(s) <= maxName && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}
