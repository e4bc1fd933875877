package rest

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// parallel calls do for 0 to n-1 on as many goroutines as there are processors,
// waits for all of them and merges their errors in the order of i.
func parallel(ctx context.Context, n int, do func(i int) error) error {
	if n == 1 {
		return do(0)
	}
	workers := min(n, runtime.GOMAXPROCS(0))
	problems := make([]error, n)
	var next atomic.Int64
	var wait sync.WaitGroup
	for range workers {
		wait.Go(func() {
			for {
				i := int(next.Add(1) - 1)
				if i >= n || ctx.Err() != nil {
					return
				}
				problems[i] = guarded(func() error { return do(i) })
			}
		})
	}
	wait.Wait()
	if err := ctx.Err(); err != nil {
		return err
	}
	return merge(problems)
}

// guarded turns a panic into an error: on a goroutine of its own it would end
// the server.
func guarded(do func() error) (err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = &panicError{fault, debug.Stack()}
		}
	}()
	return do()
}

// panicError is a panic as an error, which has no kind and so is Internal.
type panicError struct {
	fault any
	stack []byte
}

// Error returns the panic and where it happened.
func (e *panicError) Error() string { return fmt.Sprintf("panic: %v\n%s", e.fault, e.stack) }
