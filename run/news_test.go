package run

import "testing"

func TestNews(t *testing.T) {
	var n News
	n.Tell() // nobody waits
	a, b := n.Next(), n.Next()
	select {
	case <-a:
		t.Fatal("told before there was anything")
	default:
	}
	n.Tell()
	<-a
	<-b
	select {
	case <-n.Next():
		t.Fatal("what was told before is told again")
	default:
	}
}
