package analysis

import "math"

// significance is the chance of a false alarm that one measurement takes: a
// limit counts as broken only if a canary right at the limit would look this
// bad less often. It is what keeps one early error from failing a release.
const significance = 0.01

// judgeShare decides whether e events of n requests show a share above
// allowed: Inconclusive where it is above, but could be chance.
func judgeShare(e, n int64, allowed float64) Outcome {
	switch {
	case float64(e) <= allowed*float64(n)+1e-9:
		return Successful
	case tail(e, n, allowed) < significance:
		return Failed
	}
	return Inconclusive
}

// upper is the highest share that e events of n requests leave credible: one
// at which so few events had a chance of significance (Clopper and Pearson).
func upper(e, n int64) float64 {
	low, high := 0.0, 1.0
	for range 40 {
		if p := (low + high) / 2; 1-tail(e+1, n, p) > significance {
			low = p
		} else {
			high = p
		}
	}
	return high
}

// tail is the probability of at least e events in n tries of chance p. Above
// the mean n·p the terms only fall, so the sum ends early there.
func tail(e, n int64, p float64) float64 {
	if p <= 0 || p >= 1 || e > n {
		return 0
	}
	term := math.Exp(logChoose(n, e) + float64(e)*math.Log(p) + float64(n-e)*math.Log1p(-p))
	sum := term
	for k := e; k < n && term > sum*1e-12; k++ {
		term *= float64(n-k) / float64(k+1) * p / (1 - p)
		sum += term
	}
	return min(sum, 1)
}

func logChoose(n, k int64) float64 {
	return logFactorial(n) - logFactorial(k) - logFactorial(n-k)
}

func logFactorial(n int64) float64 {
	l, _ := math.Lgamma(float64(n) + 1)
	return l
}
