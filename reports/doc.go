// Package reports tells from what tokens may do and what they were used for what an operator
// should look at: tokens that can do too much, are unused, are due for rotation, are refused;
// and it suggests the least scopes that cover what was used.
//
// It computes, and does nothing else: an [Estate] is what is known of the tokens, a [Usage]
// what was counted in a window of time, and each report is a function of these. Its types
// are the JSON of the management routes.
//
// Whatever could take something away errs on the side of leaving it: where counting does not
// reach back far enough, where something could not be counted, or where an operation has
// gone since it was used, there is no suggestion.
package reports
