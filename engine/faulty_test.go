package engine

import (
	"testing"

	"weft"
)

// TestFaultBehindCancel holds that a worker which ran out of memory, or whose engine
// failed, serves no other session, also where the job was told to stop.
func TestFaultBehindCancel(t *testing.T) {
	for _, c := range []struct {
		class   string
		stopped bool
		kind    weft.Kind
		dirty   bool
	}{
		{"Out of Memory", false, weft.KindLimit, true},
		{"Out of Memory", true, weft.KindCancelled, true},
		{"INTERNAL", false, weft.KindInternal, true},
		{"INTERNAL", true, weft.KindCancelled, true},
		{"INTERRUPT", true, weft.KindCancelled, false},
		{"Binder", false, weft.KindInvalid, false},
		{"Binder", true, weft.KindCancelled, false},
	} {
		k := &worker{}
		if c.stopped {
			k.stop.Store(7)
		}
		var out outcome
		k.faulty(7, classed(c.class, "x"), &out)
		if out.Fault == nil || out.Fault.Kind != c.kind || out.Dirty != c.dirty {
			t.Errorf("%+v gives %+v, dirty %v", c, out.Fault, out.Dirty)
		}
	}
}

// TestFaultWithoutTrace: a fault of the engine itself is told without its stack.
func TestFaultWithoutTrace(t *testing.T) {
	err := classed("INTERNAL", "Failed to bind column reference: inequal types\n\nStack Trace:\n\n/lib/libduckdb.so(+0x1) [0x7f]\nThis error signals an assertion failure")
	if f := faultOf(err, settings{}); f.Message != "Failed to bind column reference: inequal types" || f.Kind != weft.KindInternal {
		t.Errorf("%v: %s", f.Kind, f.Message)
	}
}
