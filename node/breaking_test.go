package node

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"weft/serve"
)

// TestBreakingChange: what readers of an active product rely on is not taken away
// by the way.
func TestBreakingChange(t *testing.T) {
	r := newRig(t)
	apply := func(archive string, req serve.ApplyRequest) *serve.ApplyResult {
		t.Helper()
		r.write(archive)
		req.Archive, req.Dir = r.pack("shop"), filepath.Join(r.dir, "shop")
		res, err := r.node.Apply(context.Background(), tester, req, nil)
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	without := strings.Replace(shop, `      - {name: item, logicalType: string, physicalType: text, required: true}`+"\n", "", 1)
	version := func(archive, v string) string {
		return strings.Replace(archive, "status: active", "version: "+v+"\nstatus: active", 1)
	}
	apply(version(shop, "1.4.0"), serve.ApplyRequest{})
	if res := apply(version(shop, "1.4.0"), serve.ApplyRequest{DryRun: true}); res.Outcome != serve.OutcomeUnchanged {
		t.Errorf("a dry run of what runs already: %+v", res)
	}
	for _, dry := range []bool{true, false} {
		res := apply(version(without, "1.5.0"), serve.ApplyRequest{DryRun: dry})
		if res.Outcome != serve.OutcomeBreaks || !strings.Contains(res.Message, "version 1.4.0") || len(res.Differences) == 0 {
			t.Errorf("%+v", res)
		}
		r.want("SELECT item FROM sales.shop WHERE id = 1", "pen")
	}
	if res := apply(version(without, "1.5.0"), serve.ApplyRequest{Breaking: true, DryRun: true}); res.Outcome != serve.OutcomePlanned {
		t.Errorf("%+v", res)
	}
	if res := apply(version(without, "2.0.0"), serve.ApplyRequest{}); res.Outcome != serve.OutcomeCommitted {
		t.Errorf("%+v", res)
	}
	if res := apply(version(shop, "2.1.0"), serve.ApplyRequest{}); res.Outcome != serve.OutcomeCommitted { // a column more
		t.Errorf("%+v", res)
	}
	draft := strings.Replace(shop, "status: active", "status: draft", 1)
	apply(draft, serve.ApplyRequest{Breaking: true})
	if res := apply(strings.Replace(without, "status: active", "status: draft", 1), serve.ApplyRequest{}); res.Outcome != serve.OutcomeCommitted {
		t.Errorf("nobody was told to rely on a draft: %+v", res)
	}
}
