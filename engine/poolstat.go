package engine

// Workers counts the worker processes that live, and those of them that wait for
// work.
func (p *Pool) Workers() (live, idle int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	idle = len(p.spare)
	for _, ss := range p.idle {
		idle += len(ss)
	}
	return len(p.live), idle
}
