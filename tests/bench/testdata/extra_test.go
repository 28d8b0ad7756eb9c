// What Go's own benchmarks of its context package have none for.

package bench

import (
	"context"
	"testing"
	"time"
)

const fanOut = 100_000

var sink context.Context

func BenchmarkCreateCancel(b *testing.B) {
	parent, end := context.WithCancel(context.Background())
	defer end()
	for i := 0; i < b.N; i++ {
		_, cancel := context.WithCancel(parent)
		cancel()
	}
}

func BenchmarkCreateCancelDone(b *testing.B) {
	parent, end := context.WithCancel(context.Background())
	defer end()
	for i := 0; i < b.N; i++ {
		ctx, cancel := context.WithCancel(parent)
		ctx.Done()
		cancel()
	}
}

func BenchmarkTimeoutCancel(b *testing.B) {
	for i := 0; i < b.N; i++ {
		_, cancel := context.WithTimeout(context.Background(), time.Hour)
		cancel()
	}
}

func BenchmarkTimeoutCancelDone(b *testing.B) {
	for i := 0; i < b.N; i++ {
		ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
		ctx.Done()
		cancel()
	}
}

func BenchmarkErrOpen(b *testing.B) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for i := 0; i < b.N; i++ {
		ctx.Err()
	}
}

func BenchmarkErrUnderDeadline(b *testing.B) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	for i := 0; i < b.N; i++ {
		ctx.Err()
	}
}

func BenchmarkWithValue(b *testing.B) {
	for i := 0; i < b.N; i++ {
		sink = context.WithValue(context.Background(), "key", i)
	}
}

func BenchmarkFanOut(b *testing.B) {
	benchmarkFanOut(b, func(context.Context) {})
}

func BenchmarkFanOutDone(b *testing.B) {
	benchmarkFanOut(b, func(ctx context.Context) { ctx.Done() })
}

// One cancel of a parent with many children, each of which use has prepared.
func benchmarkFanOut(b *testing.B, use func(context.Context)) {
	for i := 0; i < b.N; i++ {
		b.StopTimer()
		parent, cancel := context.WithCancel(context.Background())
		for j := 0; j < fanOut; j++ {
			child, _ := context.WithCancel(parent)
			use(child)
		}
		b.StartTimer()
		cancel()
	}
}
