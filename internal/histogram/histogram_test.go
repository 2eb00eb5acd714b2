package histogram

import (
	"math"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestQuantiles(t *testing.T) {
	var h Histogram
	const n = 1_000_000
	for v := range time.Duration(n) {
		h.Add(v)
	}
	for _, q := range []float64{0.001, 0.5, 0.99, 0.999} {
		got, want := float64(h.Quantile(q)), q*n
		if got < want-1 || got > want*(1+1.0/32)+1 {
			t.Errorf("quantile %v is %v, want about %v", q, got, want)
		}
	}
	if h.Quantile(0) != 0 || h.Quantile(1) != n-1 || h.Total() != n {
		t.Errorf("%d of %v to %v, want %d of 0s to %v", h.Total(), h.Quantile(0), h.Quantile(1), n, time.Duration(n-1))
	}
}

func TestFewDurations(t *testing.T) {
	var h Histogram
	for _, q := range []float64{0, 0.5, 1} {
		if h.Quantile(q) != 0 {
			t.Errorf("quantile %v of nothing is %v", q, h.Quantile(q))
		}
	}
	h.Add(10 * time.Second)
	for _, q := range []float64{0, 0.5, 1} {
		if h.Quantile(q) != 10*time.Second {
			t.Errorf("quantile %v of 10 s is %v", q, h.Quantile(q))
		}
	}
	h.Add(-1)
	h.Add(math.MaxInt64)
	if h.Quantile(0) != 0 || h.Quantile(0.5) < 10*time.Second || h.Quantile(1) != math.MaxInt64 {
		t.Errorf("quantiles are %v, %v and %v", h.Quantile(0), h.Quantile(0.5), h.Quantile(1))
	}
}
