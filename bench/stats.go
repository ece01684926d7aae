package main

import "slices"

// spread sums up the values of all rounds.
type spread struct {
	min, lower, median, upper, max float64 // lower and upper are the quartiles
}

// spreadOf sums up values, of which there is at least one.
func spreadOf(values []float64) spread {
	sorted := slices.Sorted(slices.Values(values))
	return spread{
		min:    sorted[0],
		lower:  quantile(sorted, 0.25),
		median: quantile(sorted, 0.5),
		upper:  quantile(sorted, 0.75),
		max:    sorted[len(sorted)-1],
	}
}

// quantile interpolates linearly between the two nearest of the sorted values.
func quantile(sorted []float64, q float64) float64 {
	position := q * float64(len(sorted)-1)
	below := int(position)
	if below == len(sorted)-1 {
		return sorted[below]
	}
	part := position - float64(below)
	return sorted[below]*(1-part) + sorted[below+1]*part
}
