#!/bin/sh
# Runs every fuzz target of the module, one after the other, for the given time each: a new target needs no entry anywhere.
# A crash ends it with an error; Go writes the input to the package's testdata/fuzz, where `make test` replays it.
#
#   .ci/fuzz.sh 60s
set -eu

fuzz_time=${1:-60s}

# targets prints "package target" for each fuzz target.
targets() {
	packages=$(go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}' ./...)
	for package in $packages; do
		names=$(go test -list '^Fuzz' "$package") || {
			echo "$names" >&2
			exit 1
		}
		echo "$names" | sed -n "s|^\(Fuzz[^ ]*\)\$|$package \1|p"
	done
}

found=$(targets)
[ -n "$found" ] || {
	echo "fuzz.sh: no fuzz target found" >&2
	exit 1
}

echo "$found" | while read -r package target; do
	echo "== $package $target, $fuzz_time"
	go test -run '^$' -fuzz "^$target\$" -fuzztime "$fuzz_time" "$package" </dev/null
done
