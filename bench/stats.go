package main

import (
	"math/rand/v2"
	"slices"
)

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

// confidence returns the 95 % confidence interval of the median of all values, by bootstrap: groups are drawn, and values
// within each. Values of a group share what is particular to it, such as how a process's memory happens to lie in the
// caches, so that their number alone would promise too much. The same values give the same interval.
func confidence(groups [][]float64) (lower, upper float64) {
	const draws = 4000
	source := rand.New(rand.NewPCG(1, 2))
	medians := make([]float64, draws)
	var drawn []float64
	for i := range medians {
		drawn = drawn[:0]
		for range groups {
			group := groups[source.IntN(len(groups))]
			for range group {
				drawn = append(drawn, group[source.IntN(len(group))])
			}
		}
		medians[i] = spreadOf(drawn).median
	}
	slices.Sort(medians)
	return quantile(medians, 0.025), quantile(medians, 0.975)
}
