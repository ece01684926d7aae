#!/bin/sh
# Makes sure that the named programs are there: installs what is missing on Debian and Ubuntu, as root or through sudo,
# and elsewhere says what to install, and fails. A check that needs a program never runs without it, and never skips.
#
#   .ci/deps.sh cc make
set -eu

# package_of names the Debian package of a program.
package_of() {
	case $1 in
	cc) echo "gcc libc6-dev" ;;
	haproxy | make | nginx | redis-server | wrk) echo "$1" ;;
	promtool) echo "prometheus" ;;
	taskset) echo "util-linux" ;;
	*)
		echo "deps.sh: no Debian package is known for \"$1\": add it to package_of in .ci/deps.sh" >&2
		exit 1
		;;
	esac
}

# present tells whether a program can be used. "cc" is the C compiler that Go would call; -race links with it, so that
# the C library's headers must be there too.
present() {
	case $1 in
	cc) echo '#include <stdlib.h>' | $(go env CC) -E - >/dev/null 2>&1 ;;
	*) command -v "$1" >/dev/null 2>&1 ;;
	esac
}

# as_root runs a command with the rights that apt-get needs.
as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	elif command -v sudo >/dev/null 2>&1; then
		sudo "$@"
	else
		echo "deps.sh: neither root nor sudo: run this as root, then try again: $*" >&2
		exit 1
	fi
}

missing_packages() {
	for program in "$@"; do
		present "$program" || package_of "$program"
	done
}

# Debian keeps some servers in sbin, which an ordinary user has not in PATH.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
export PATH

command -v go >/dev/null 2>&1 || {
	echo "deps.sh: Go is missing: install it from https://go.dev/dl/ (go.mod names the version)" >&2
	exit 1
}

packages=$(missing_packages "$@")
[ -n "$packages" ] || exit 0
packages=$(echo "$packages" | tr '\n' ' ')

if ! command -v apt-get >/dev/null 2>&1; then
	echo "deps.sh: missing here, under its Debian package name: $packages" >&2
	echo "deps.sh: install it with your system's package manager, then try again" >&2
	exit 1
fi

echo "deps.sh: installing $packages"
as_root apt-get update -qq
# shellcheck disable=SC2086 # a list of packages, meant to be split
as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages

for program in "$@"; do
	present "$program" || {
		echo "deps.sh: \"$program\" still does not work after its package was installed" >&2
		exit 1
	}
done
