package problem

import "strings"

// Suggest is the hint for a word that is none of known: what was probably
// meant, or the list.
func Suggest(word string, known []string) string {
	if best := Closest(word, known); best != "" {
		return "did you mean `" + best + "`?"
	}
	return "write one of " + strings.Join(known, ", ")
}

// maxWord bounds what is compared; hostile words may be long.
const maxWord = 80

// Closest finds the word of known that is at most about a third of its letters
// away from word, case aside; empty if none is.
func Closest(word string, known []string) string {
	best, least := "", len(word)
	for _, k := range known {
		if d := distance(strings.ToLower(word[:min(len(word), maxWord)]), strings.ToLower(k)); d < least && d <= (len(k)+3)/3 {
			best, least = k, d
		}
	}
	return best
}

// distance counts the letters to insert, delete or replace.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
