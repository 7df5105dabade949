package weft

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Kind classifies an error. Kinds survive the wire, so that a remote failure
// reads like a local one, and each maps to one exit code and one HTTP status.
type Kind string

// The kinds of errors.
const (
	KindInvalid     Kind = "invalid"     // the input is wrong; asking again unchanged gives the same answer
	KindNotFound    Kind = "not_found"   // no such thing, or none that the subject may know of
	KindConflict    Kind = "conflict"    // the state does not allow it now
	KindDenied      Kind = "denied"      // refused: no token, no grant, a policy
	KindLimit       Kind = "limit"       // refused or stopped by a limit or a budget
	KindContract    Kind = "contract"    // data breaks its contract
	KindDrift       Kind = "drift"       // a source no longer looks as its contract expects
	KindBreaks      Kind = "breaks"      // the change breaks somebody
	KindGone        Kind = "gone"        // was kept once, retention has ended
	KindUnavailable Kind = "unavailable" // a source, peer or worker is away; trying again may help
	KindCorrupt     Kind = "corrupt"     // stored bytes are not what was written
	KindCancelled   Kind = "cancelled"   // the asker went away or the deadline passed
	KindInternal    Kind = "internal"    // a fault of Weft
)

// Error is every error that a person sees: what was done, to what, why it
// failed and what to do about it. It never holds a secret or a value of a
// classified column.
type Error struct {
	Op      string // what was being done, as a verb phrase: "read the source"
	Subject string // what it was done to: a product, a file, a query
	Kind    Kind
	Message string // why, in one sentence without a full stop
	Hint    string // what to do
	Cause   error  `json:"-"`
	// After is when it may be worth to try again, of what was refused for want of
	// room; 0 where nothing is known.
	After time.Duration `json:"-"`
}

// Error gives one line: op subject: message (cause).
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.Subject != "" {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(e.Subject)
	}
	if e.Message != "" {
		if b.Len() > 0 {
			b.WriteString(": ")
		}
		b.WriteString(e.Message)
	}
	if e.Cause != nil {
		if b.Len() > 0 {
			b.WriteString(": ")
		}
		b.WriteString(e.Cause.Error())
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Errorf makes an Error whose message is formatted; a %w operand becomes the
// cause that errors.Is sees, without being printed twice.
func Errorf(kind Kind, op, subject, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	e := &Error{Op: op, Subject: subject, Kind: kind, Message: err.Error()}
	if w := errors.Unwrap(err); w != nil {
		e.Message = ""
		e.Cause = err
	}
	return e
}

// WithHint sets the hint and returns e.
func (e *Error) WithHint(format string, args ...any) *Error {
	e.Hint = fmt.Sprintf(format, args...)
	return e
}

// KindOf returns the kind of the outermost Error in err's chain, or
// KindInternal where there is none.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return KindInternal
}

// AfterOf returns the first After in err's chain that is set.
func AfterOf(err error) time.Duration {
	var e *Error
	for errors.As(err, &e) {
		if e.After > 0 {
			return e.After
		}
		err = e.Cause
	}
	return 0
}

// HintOf returns the first hint in err's chain.
func HintOf(err error) string {
	for err != nil {
		var e *Error
		if !errors.As(err, &e) {
			return ""
		}
		if e.Hint != "" {
			return e.Hint
		}
		err = e.Cause
	}
	return ""
}
