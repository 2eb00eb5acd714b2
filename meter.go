package chatroom

import "time"

// A meter lets a number of things happen at once, and then one each interval. It holds when the
// last that happened will be forgotten.
type meter time.Time

// wait returns how long it takes until another may happen.
func (m meter) wait(now time.Time, burst int, interval time.Duration) time.Duration {
	return time.Time(m).Add(-time.Duration(burst-1) * interval).Sub(now)
}

// add counts n more.
func (m meter) add(now time.Time, n int, interval time.Duration) meter {
	if last := time.Time(m); last.After(now) {
		now = last
	}
	return meter(now.Add(time.Duration(n) * interval))
}

// A rate lets burst things happen at once, and then one each interval; any number if the interval is zero.
type rate struct {
	burst    int
	interval time.Duration
}

// perSecond returns the rate of n a second, at least one an hour, with a burst; a negative n means any number.
func perSecond(n float64, burst int) rate {
	if n < 0 {
		return rate{}
	}
	return rate{burst, time.Duration(float64(time.Second) / max(n, 1./3600))}
}

// times returns the rate that lets n times as much happen.
func (r rate) times(n int) rate {
	return rate{n * r.burst, r.interval / time.Duration(n)}
}

// take counts one more, or returns how long it takes until another may happen.
func (m *meter) take(now time.Time, r rate) time.Duration {
	if r.interval <= 0 {
		return 0
	}
	if wait := m.wait(now, r.burst, r.interval); wait > 0 {
		return wait
	}
	*m = m.add(now, 1, r.interval)
	return 0
}
