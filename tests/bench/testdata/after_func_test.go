//go:build go1.21

package bench

import (
	"context"
	"sync"
	"testing"
)

func BenchmarkFanOutAfterFunc(b *testing.B) {
	for i := 0; i < b.N; i++ {
		b.StopTimer()
		var left sync.WaitGroup
		left.Add(fanOut)
		parent, cancel := context.WithCancel(context.Background())
		for j := 0; j < fanOut; j++ {
			context.AfterFunc(parent, left.Done)
		}
		b.StartTimer()
		cancel()
		left.Wait()
	}
}
