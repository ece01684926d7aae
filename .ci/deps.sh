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
	chromium | haproxy | make | nginx | redis-server | wrk) echo "$1" ;;
	axe-core) command -v npm >/dev/null 2>&1 || echo "npm" ;; # which fetches it
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
	axe-core) [ -f "$axe" ] ;;
	*) command -v "$1" >/dev/null 2>&1 ;;
	esac
}

# axe-core finds what keeps people with assistive technology from using a page. It is a single file of script that tests
# put into the page in a browser, and comes from the npm registry: one version, which has to be what it was when chosen.
# The test that uses it, caddymodule/browser_axe_test.go, has the version in its path too.
axe_version=4.14.1
axe_sha512=1477dafa598d8d065f273d6af302aa203c02e83131707b7fa648cd41bd3d6b734f8c22a0dab86ee6a6f64b8afbe804b214d36db85a2826965edfb3a0b9d546b5
tools=$(dirname "$0")/../.tools
axe=$tools/axe-core-$axe_version/axe.min.js

fetch_axe() {
	fetched=$(mktemp -d)
	trap 'rm -rf "$fetched"' EXIT
	npm pack --silent --pack-destination "$fetched" "axe-core@$axe_version" >/dev/null
	echo "$axe_sha512  $fetched/axe-core-$axe_version.tgz" | sha512sum --check --quiet || {
		echo "deps.sh: axe-core $axe_version from the npm registry is not what it was when it was chosen: it is not used" >&2
		exit 1
	}
	tar -xzf "$fetched/axe-core-$axe_version.tgz" -C "$fetched"
	mkdir -p "$(dirname "$axe")"
	mv "$fetched/package/axe.min.js" "$axe"
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

# install_packages installs Debian packages, or says which are missing.
install_packages() {
	if ! command -v apt-get >/dev/null 2>&1; then
		echo "deps.sh: missing here, under its Debian package name: $packages" >&2
		echo "deps.sh: install it with your system's package manager, then try again" >&2
		exit 1
	fi

	echo "deps.sh: installing $packages"
	as_root apt-get update -qq
	# shellcheck disable=SC2086 # a list of packages, meant to be split
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages
}

packages=$(missing_packages "$@")
packages=$(echo "$packages" | tr '\n' ' ' | sed 's/ *$//')
[ -z "$packages" ] || install_packages
case " $* " in
*" axe-core "*) present axe-core || fetch_axe ;;
esac

for program in "$@"; do
	present "$program" || {
		echo "deps.sh: \"$program\" still does not work after it was installed" >&2
		exit 1
	}
done
