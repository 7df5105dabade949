package http

import (
	"fmt"
	"testing"
	"time"

	"weft/serve"
)

// TestReceiptsAreKeptForAWhile holds the bounds in time, number and bytes of what is
// kept for whoever asked.
func TestReceiptsAreKeptForAWhile(t *testing.T) {
	var r receipts
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	put := func(id string, size int) {
		r.put(keptReceipt{request: id, token: "t", at: now, raw: make([]byte, size)})
	}
	has := func(id string) bool { _, err := r.get(id, "t", now); return err == nil }

	put("one", 10)
	now = now.Add(serve.ReceiptKept)
	if !has("one") {
		t.Error("it went before its time")
	}
	now = now.Add(time.Second)
	if has("one") || r.bytes != 0 {
		t.Error("it stays for ever")
	}
	for i := range keptReceipts + 1 {
		put(fmt.Sprint(i), 1)
	}
	if has("0") || !has("1") || r.bytes != keptReceipts {
		t.Errorf("of too many %d bytes are kept", r.bytes)
	}
	for i := range 5 {
		put(fmt.Sprint("large", i), keptReceiptBytes/4)
	}
	if has("large0") || !has("large1") || r.bytes > keptReceiptBytes {
		t.Errorf("of too much %d bytes are kept", r.bytes)
	}
}
