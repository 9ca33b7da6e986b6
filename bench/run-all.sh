#!/bin/sh
# Runs the benchmarks of a release build (not compare_api.py, which wants a peer); one JSON line per figure on standard
# output, the rest on standard error.
#   bench/run-all.sh [BUILD_DIR] [OUT_FILE]         (as root: pods are really started)
# Exit code 1 when a benchmark failed or a bar was missed.
set -u
root=$(cd "$(dirname "$0")/.." && pwd)
build=${1:-$root/build/release}
out=${2:-}
bin=$build/bin
[ -x "$bin/knarr" ] || { echo "no $bin/knarr: cmake --preset release && cmake --build --preset release" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
code=0

run() {
  echo "== $*" >&2
  "$@" > "$work/figures" || { echo "== failed: $*" >&2; code=1; }
  cat "$work/figures"
  [ -z "$out" ] || cat "$work/figures" >> "$out"
}

[ -z "$out" ] || : > "$out"
run python3 "$root/bench/cluster_bench.py" --knarr "$bin/knarr"
for name in doc rt net managed_fields access apiserver runtime; do
  run "$bin/knarr_${name}_bench"
done
run "$bin/knarr_store_bench" "$work"
# Not a figure but a bar: 200 kill -9 under write load, nothing acknowledged lost.
if "$bin/knarr_store_crash_test" 200 >&2; then
  echo '{"bench":"store","name":"kill_9_survived","value":200,"unit":"kills"}' > "$work/figures"
else
  code=1
  : > "$work/figures"
fi
cat "$work/figures"
[ -z "$out" ] || cat "$work/figures" >> "$out"
exit $code
