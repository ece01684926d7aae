// Bench compares gateways side by side on one machine: no gateway at all, plain Caddy, Scopegate, nginx and HAProxy, the
// last two with a map of the same tokens, all before the same upstream.
//
//	go -C bench run . -caddy "$PWD/caddy"
//
// Plain Caddy and Scopegate are the same binary, and their configurations differ in the scopegate handler alone. Scopegate
// tells the upstream who asks, in four header fields instead of the credential, and Caddy takes time for every field that
// it forwards. What that comes to, the lane caddy-fields tells: it is plain Caddy too, but its clients send these fields
// themselves, so that the upstream gets the same as from Scopegate, and nothing is authorized. In the lane caddy-headers
// plain Caddy sets the fields, with its directive request_header.
//
// CPU per request is the figure to judge by: the whole CPU time that the gateway's processes used, over the requests that
// the load generator counted. It depends far less than requests per second on what else the machine does, and ratios taken
// within one round depend on it less still. So the lanes are measured in many short rounds, in an order that changes, and
// the servers are started anew a few times, because processes of one program differ too. What is reported is the median of
// the ratios, with its confidence interval. Lanes whose ratio is nowhere near 1 are in every fifth round only.
//
// The tokens lie in Scopegate's heap, and the larger that is, the less often Go collects garbage: with -tokens 100000
// Caddy's own garbage costs Scopegate less than it costs plain Caddy. Fewer tokens show the handler's price without that.
//
// How far the method itself is off is in the table too: plain Caddy runs twice, and the ratio of the two is what a
// difference of nothing looks like. The lane scopegate-denied gets unknown tokens only.
//
// One CPU is the gateway's, the others are the load generator's and the upstream's, unless -pin=false. Linux only: it
// reads other processes' CPU clocks. It needs wrk, nginx, haproxy and taskset.
package main
