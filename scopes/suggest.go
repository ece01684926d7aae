package scopes

import (
	"slices"
	"strings"
)

// suggestion ends a message about a word that is none of words: with the nearest
// of them if one is near enough, else with all of them after intro, if there are
// few and intro is not "".
func suggestion(word string, words []string, intro string) string {
	if near := nearest(word, words); near != "" {
		return `; did you mean "` + near + `"?`
	}
	if intro == "" || len(words) == 0 || len(words) > 20 {
		return ""
	}
	return "; " + intro + strings.Join(words, ", ")
}

// longestWord bounds the words that are compared: "account/token" is the longest.
const longestWord = 127

// nearest returns the word that is the fewest edits away from word, the first of
// several, or "" if none is within a third of its length.
func nearest(word string, words []string) string {
	best, limit := "", max(1, len(word)/3)
	folded := strings.ToLower(word)
	for _, w := range words {
		if d := editDistance(folded, strings.ToLower(w), limit); d <= limit {
			best, limit = w, d-1
		}
		if limit < 0 {
			break
		}
	}
	return best
}

// editDistance counts the insertions, deletions, substitutions and swaps of
// neighbours that turn a into b (optimal string alignment), or returns limit+1
// if they are more than limit, or a word is longer than longestWord.
func editDistance(a, b string, limit int) int {
	if max(len(a), len(b)) > longestWord || max(len(a)-len(b), len(b)-len(a)) > limit {
		return limit + 1
	}
	var rows [3][longestWord + 1]int // for a[:i], a[:i-1] and a[:i-2], in turns
	for j := range len(b) + 1 {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		row, last, before := &rows[i%3], &rows[(i+2)%3], &rows[(i+1)%3]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		if slices.Min(row[:len(b)+1]) > limit {
			return limit + 1
		}
	}
	return min(rows[len(a)%3][len(b)], limit+1)
}
