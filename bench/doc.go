// Bench compares gateways side by side on one machine: no gateway at all, plain Caddy, Scopegate, nginx and HAProxy, the
// last two with a map of the same tokens, all before the same upstream.
//
//	go -C bench run . -caddy "$PWD/caddy"
//
// Plain Caddy and Scopegate are the same binary, and their configurations differ in the scopegate handler alone. Scopegate
// tells the upstream who asks, in four header fields, and Caddy takes time for every field that it forwards: so the lane
// caddy-headers is plain Caddy that sets the same fields, without having authorized anything. The
// lanes are measured in many short rounds, each lane once per round and in an order that changes; what is reported is
// the median of the rounds with its spread. CPU per request is the figure to judge by: the whole CPU time that the gateway's
// processes used, over the requests that the load generator counted. It depends far less than requests per second on
// what else the machine does, and ratios taken within one round depend on it less still.
//
// How far the method itself is off is in the table too: plain Caddy runs twice, and the ratio of the two is what a
// difference of nothing looks like. The lane scopegate-denied gets unknown tokens only.
//
// One CPU is the gateway's, the others are the load generator's and the upstream's, unless -pin=false. Linux only: it
// reads other processes' CPU clocks. It needs wrk, nginx, haproxy and taskset.
package main
