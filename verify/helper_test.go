package verify

import (
	"os"
	"testing"

	"weft/engine"
)

func TestMain(m *testing.M) {
	if engine.IsWorker() {
		os.Exit(engine.Work())
	}
	os.Exit(m.Run())
}
