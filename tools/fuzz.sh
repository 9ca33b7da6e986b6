#!/usr/bin/env bash
# Builds the fuzz targets (clang 19, ASan and UBSan) and runs them one after the other, each for a while from its
# corpus. One line each; exit code 1 when one of them found something.
#
#   tools/fuzz.sh [SECONDS [TARGET…]]    30 seconds each, all targets
#
# Inputs that reach new code are kept in build/fuzz/corpus, for the next run. One that fails is in build/fuzz/found: it
# belongs into tests/fuzz/corpus/TARGET, with what mends it and a unit test.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
case ${1:-} in
  -h | --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0" && exit 0 ;;
  "" | *[!0-9]*) [ $# -eq 0 ] || { echo "fuzz.sh: want a number of seconds, not $1; see --help" >&2 && exit 2; } ;;
esac
seconds=${1:-30}
[ $# -eq 0 ] || shift
targets=("$@")
[ $# -gt 0 ] || for source in tests/fuzz/*_fuzz.cc; do targets+=("$(basename "$source" .cc)"); done

log=$(mktemp)
trap 'rm -f "$log"' EXIT
cmake --preset fuzz -DKNARR_BENCH=OFF >"$log" 2>&1 || { cat "$log" && exit 1; }
cmake --build --preset fuzz --parallel "$(nproc)" --target "${targets[@]}" >"$log" 2>&1 || { tail -n 60 "$log" && exit 1; }

failed=0
found=build/fuzz/found
mkdir -p "$found"
stat() { sed -n "s/^stat::$1: *//p" "$log"; }
for target in "${targets[@]}"; do
  kept=build/fuzz/corpus/$target
  mkdir -p "$kept"
  corpus=("$kept")
  [ -d "tests/fuzz/corpus/$target" ] && corpus+=("tests/fuzz/corpus/$target")
  if "build/fuzz/bin/$target" -max_total_time="$seconds" -timeout=25 -rss_limit_mb=2560 -print_final_stats=1 \
    -artifact_prefix="$found/$target-" "${corpus[@]}" >"$log" 2>&1; then
    printf '%-28s ok      %10s runs %8s a second\n' "$target" "$(stat number_of_executed_units)" \
      "$(stat average_exec_per_sec)"
  else
    failed=1
    printf '%-28s FAILED  %s\n' "$target" "$(grep -m1 -E 'SUMMARY|ERROR' "$log" || tail -n 1 "$log")"
    sed -n 's/.*Test unit written to /    /p' "$log"
    cp "$log" "$found/$target.log"
  fi
done
exit "$failed"
