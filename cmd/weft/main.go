// Command weft is the whole of Weft: the node and the commands that speak to
// it. This package is the only place that exits.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"weft/engine"
)

func main() {
	if engine.IsWorker() {
		os.Exit(engine.Work())
	}
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		signal.Stop(signals) // a second signal ends the process at once
		cancel()
	}()
	os.Exit(execute(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Environ()))
}

// execute runs one command line and returns the exit code. It is all of the
// program but the process around it.
func execute(ctx context.Context, args []string, in io.Reader, out, errs io.Writer, environ []string) int {
	env := processEnvironment(environ)
	a := &app{
		env: env,
		in:  in,
		out: newPrinter(out, env.lookup),
		err: newPrinter(errs, env.lookup),
	}
	root := a.root()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	code := exitCode(ctx, err)
	switch {
	case err == nil:
	case code == exitInterrupted:
		a.err.println("interrupted")
		if a.goesOn {
			a.err.indent("→ ", "a load that has begun goes on at the node: weft status shows it", cyan)
		}
	default:
		if _, quiet := err.(answerNo); !quiet {
			printError(a.err, err)
		}
	}
	return code
}
