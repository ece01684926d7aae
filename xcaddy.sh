#!/bin/sh
# Builds ./caddy, in the current directory: Caddy with the Scopegate modules of this source tree.
#
#   ./xcaddy.sh                                          only Scopegate
#   ./xcaddy.sh --with github.com/mholt/caddy-ratelimit  your other modules too
#   ./xcaddy.sh --output /usr/local/bin/caddy            to somewhere else
#
# Arguments go to `xcaddy build` as they are. Only Go is needed, and a copy of the sources: a release archive will do.
set -eu

xcaddy_version=v0.4.5
caddy_version=v2.11.9 # the one that go.mod requires, so that what is tested is what is built

source_dir=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)

# Nothing is taken from, or needed of, a version control system around the sources or the temporary folder.
GOFLAGS="${GOFLAGS:-} -buildvcs=false"
# A go.work above the current directory is about somebody's development, not about this build.
GOWORK=off
export GOFLAGS GOWORK

# The version v0.0.0 stands for these sources: with one stated, Go does not ask the module proxy which versions there are.
exec go run "github.com/caddyserver/xcaddy/cmd/xcaddy@$xcaddy_version" build "$caddy_version" \
	--with "github.com/scopegate/scopegate@v0.0.0=$source_dir" "$@"
