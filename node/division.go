package node

import (
	"errors"

	"weft"
	"weft/budget"
	"weft/engine"
)

// warmWorkers is how many workers wait started for whatever comes next.
const warmWorkers = 1

// foldMemory is about what a fold of a store asks for.
const foldMemory = 1 << 30

// division is how the machine is divided among the node's own work and the
// questions of its subjects. Each lane can always have one worker of its kind, the
// node's own work one for each load and one to fold; what is left goes to whoever
// asks. One subject can hold all places of questions but one, and two less of one lane.
func (c Config) division() budget.Config {
	total := budget.Amount{
		Memory: c.AllMemory - warmWorkers*engine.SpareMemory, Temp: c.AllTemp, Threads: c.AllThreads,
		Places: c.Concurrency + c.Loads + ownPlaces,
	}
	question := budget.Amount{Memory: engine.ProcessMemory(c.Memory, c.Threads), Temp: c.TempBytes, Threads: c.Threads, Places: 1}
	own := budget.Amount{
		Memory: int64(c.Loads)*engine.ProcessMemory(c.LoadMemory, c.Threads) + engine.ProcessMemory(foldMemory, c.Threads),
		Temp:   int64(c.Loads+1) * c.TempBytes, Threads: (c.Loads + 1) * c.Threads, Places: c.Loads + ownPlaces,
	}
	// A small machine loads and folds one after the other.
	left := budget.Amount{
		Memory: total.Memory - 2*question.Memory, Temp: total.Temp - 2*question.Temp,
		Threads: total.Threads - 2*question.Threads, Places: total.Places - 2,
	}
	own = budget.Amount{
		Memory: min(own.Memory, left.Memory), Temp: min(own.Temp, left.Temp),
		Threads: min(own.Threads, left.Threads), Places: min(own.Places, left.Places),
	}
	b := budget.Config{Total: total, RunningAll: max(c.Concurrency-1, 1)}
	perSubject := max(c.Concurrency-2, 1)
	b.SetLane(budget.Own, own, 0, 0, 0)
	b.SetLane(budget.Light, question, perSubject, c.Queue, 4*c.Queue)
	b.SetLane(budget.Heavy, question, perSubject, c.Queue, 4*c.Queue)
	return b
}

// ownPlaces are the workers beside those of loads that the node may have at work
// for itself.
const ownPlaces = 2

// leastOwn is what must be left for the node's own work beside two questions.
const leastOwn = 64 << 20

// checkDivision says what does not fit.
func (c Config) checkDivision() error {
	d := c.division()
	own := d.Reserve[budget.Own]
	bad := func(key, format string, args ...any) *weft.Error {
		return weft.Errorf(weft.KindInvalid, "check the configuration", key, format, args...)
	}
	var errs []error
	if need := engine.ProcessMemory(leastOwn, c.Threads); own.Memory < need {
		short := need - own.Memory
		errs = append(errs, bad("memory", "%d MB for all workers is too little for two questions of query.memory and a load", c.AllMemory>>20).
			WithHint("raise memory by %d MB, or lower query.memory by %d MB", short>>20+1, short>>21+1))
	}
	if own.Threads < 1 {
		errs = append(errs, bad("threads", "%d threads for all workers are too few for two questions of %d and a load", c.AllThreads, c.Threads).
			WithHint("set threads to %d, or query.threads lower", 3*c.Threads))
	}
	if own.Temp < 0 {
		errs = append(errs, bad("temp", "%d MB for all workers to spill is less than two questions may take", c.AllTemp>>20).
			WithHint("raise temp, or lower spill"))
	}
	if err := d.Validate(); err != nil && len(errs) == 0 { // what none of these has said
		errs = append(errs, bad("concurrency", "%w", err))
	}
	return errors.Join(errs...)
}
