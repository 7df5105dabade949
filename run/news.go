package run

// News wakes everybody who waits for what comes next. It is part of what a lock guards,
// which its callers hold; the zero value is ready.
type News struct{ next chan struct{} }

// Next is closed by the next Tell.
func (n *News) Next() <-chan struct{} {
	if n.next == nil {
		n.next = make(chan struct{})
	}
	return n.next
}

// Tell wakes those that wait.
func (n *News) Tell() {
	if n.next != nil {
		close(n.next)
		n.next = nil
	}
}
