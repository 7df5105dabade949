package serve

import (
	"strings"

	"weft"
)

// Readiness says whether the node takes questions and loads. It is given without
// a token, so it names no product.
type Readiness struct {
	Ready   bool     `json:"ready"`
	Reasons []Reason `json:"reasons,omitempty" doc:"why it is not; absent where it is"`
}

// Reason is one reason why the node is not ready.
type Reason struct {
	Code NotReady `json:"code" doc:"starting, stopping, disk"`
	Text string   `json:"text" doc:"for people"`
}

// NotReady names a reason for programs.
type NotReady string

// The reasons for not being ready.
const (
	NotReadyStarting NotReady = "starting" // it recovers, or has not begun to answer
	NotReadyStopping NotReady = "stopping" // it takes nothing new and waits for what runs
	NotReadyDisk     NotReady = "disk"     // less disk is free than disk.reserve asks for
)

// Err is nil where the node is ready, and else says why it is not.
func (r Readiness) Err() error {
	if r.Ready {
		return nil
	}
	var why []string
	for _, x := range r.Reasons {
		why = append(why, x.Text)
	}
	return weft.Errorf(weft.KindUnavailable, "be ready", "", "%s", strings.Join(why, "; "))
}
