#!/usr/bin/env bash
# Installs what is missing to build and run Knarr, from the distribution's own packages (Debian 12 and 13, Ubuntu 24.04).
#
#   tools/install-dependencies.sh [--tests] [--dev] [--list]
#
#   --tests  also what the tests run beside Knarr: a registry, skopeo, curl, kubectl, the Python client, node and npm
#   --dev    also clang 19, for sanitizers, fuzzing, formatting
#   --list   print what is missing, install nothing
#
# With nothing missing it changes nothing and needs no root.
set -euo pipefail

die() {
  echo "install-dependencies: $*" >&2
  exit 1
}

tests=no dev=no list=no
for argument in "$@"; do
  case $argument in
    --tests) tests=yes ;;
    --dev) dev=yes ;;
    --list) list=yes ;;
    -h | --help)
      sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"
      exit 0
      ;;
    *) die "unknown option $argument; see --help" ;;
  esac
done

command -v dpkg-query >/dev/null && command -v apt-get >/dev/null ||
  die "this is no Debian or Ubuntu; install the packages named in $0 by hand"

installed() { [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# g++ 12 is what Debian 12 has; whatever is newer does as well.
packages=(ca-certificates g++ cmake ninja-build python3 ccache mold libssl-dev libnghttp2-dev libsqlite3-dev libyaml-dev
  zlib1g-dev libzstd-dev libfmt-dev libre2-dev pkgconf libgtest-dev crun iproute2 nftables musl-tools busybox-static)

# Debian 12's default Boost is too old for it; its packages of 1.81 stand beside it. Later releases have one.
release=$(. /etc/os-release && echo "${ID}-${VERSION_ID:-}")
case $release in
  debian-12) packages+=(libboost-context1.81-dev) ;;
  *) packages+=(libboost-context-dev) ;;
esac
[ "$tests" = no ] || packages+=(docker-registry skopeo curl python3-kubernetes etcd-server etcd-client containerd runc
  dbus-daemon)
[ "$tests" = no ] || command -v kubectl >/dev/null || packages+=(kubernetes-client)
[ "$tests" = no ] || { command -v node >/dev/null && command -v npm >/dev/null; } || packages+=(nodejs npm)
[ "$dev" = no ] || packages+=(clang-19 clang-format-19 libclang-rt-19-dev lld)

missing=()
for package in "${packages[@]}"; do
  installed "$package" || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
  echo "install-dependencies: nothing is missing"
  exit 0
fi
echo "install-dependencies: missing: ${missing[*]}"
[ "$list" = no ] || exit 0

root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || die "run this as root (there is no sudo): apt-get install ${missing[*]}"
  root=(sudo)
fi
apt() { "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y "$@"; }

apt update || die "apt-get update failed; see above"
# A package this release does not have would make apt refuse all of them with a long text: it is said first.
for package in "${missing[@]}"; do
  [ -n "$(apt-cache madison "$package" 2>/dev/null)" ] && continue
  die "$release has no package $package in its sources (/etc/apt/sources.list*)"
done
# The registry, etcd and containerd are only needed as programs: they are not to start as services.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ] && [[ " ${missing[*]} " =~ \ (docker-registry|etcd-server|containerd)\  ]]; then
  trap '"${root[@]}" rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' | "${root[@]}" tee "$policy" >/dev/null
  "${root[@]}" chmod 755 "$policy"
fi
apt install --no-install-recommends "${missing[@]}" || die "apt-get install failed; see above"
echo "install-dependencies: done"
