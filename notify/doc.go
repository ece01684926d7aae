// Package notify tells people what is going to happen to tokens, or just has.
package notify
