#!/usr/bin/env bash
# All tests, from an empty machine: installs what is missing, builds, runs unit, golden, tidy, simulation and crash
# tests, then end-to-end tests with real containers and every kind through real clients. The last line says how many passed and failed.
#
#   tools/test.sh                        everything; needs root for the containers
#   tools/test.sh --no-e2e               without containers
#   tools/test.sh --sanitize asan|tsan   unit and simulation tests (fewer seeds) under a sanitizer (clang 19) instead
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

preset=release e2e=yes
while [ $# -gt 0 ]; do
  case $1 in
    --no-e2e) e2e=no && shift ;;
    --sanitize)
      preset=${2:?--sanitize wants asan or tsan} e2e=no
      case $preset in asan | tsan) ;; *) echo "test.sh: --sanitize wants asan or tsan" >&2 && exit 2 ;; esac
      shift 2
      ;;
    -h | --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0" && exit 0 ;;
    *) echo "test.sh: unknown option $1; see --help" >&2 && exit 2 ;;
  esac
done
build=build/$preset
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
step() { printf '\n==> %s (%s s)\n' "$*" "$SECONDS"; }

step "What is missing"
if [ "$preset" = release ]; then tools/install-dependencies.sh --tests; else tools/install-dependencies.sh --tests --dev; fi

step "Build ($preset)"
cmake --preset "$preset" -DKNARR_TESTS=ON -DKNARR_BENCH=OFF >"$results/configure.log" 2>&1 ||
  { cat "$results/configure.log" && exit 1; }
cmake --build --preset "$preset" --parallel "$(nproc)" >"$results/build.log" 2>&1 ||
  { tail -n 60 "$results/build.log" && exit 1; }
tail -n 1 "$results/build.log"

root=()
[ "$(id -u)" -eq 0 ] || root=(sudo env)
failed=0
step "Unit, golden, tidy, simulation and crash tests"
# One at a time: several of them measure time or want the machine's network to themselves. Under a sanitizer everything
# runs that is ours in one process: not the crash tests, which kill what they start.
select=()
[ "$preset" = release ] || select=(-LE "crash|tidy")
# A report ends the program that made it, so that the test fails; leaks count, too.
export ASAN_OPTIONS="detect_leaks=1:detect_stack_use_after_return=1:abort_on_error=0${ASAN_OPTIONS:+:$ASAN_OPTIONS}"
export UBSAN_OPTIONS="print_stacktrace=1${UBSAN_OPTIONS:+:$UBSAN_OPTIONS}"
export TSAN_OPTIONS="halt_on_error=1:second_deadlock_stack=1${TSAN_OPTIONS:+:$TSAN_OPTIONS}"
mkdir -p "$results/gtest"
GTEST_OUTPUT="xml:$results/gtest/" ctest --test-dir "$build" "${select[@]}" --timeout 900 --output-on-failure \
  --output-junit "$results/ctest.xml" || failed=1

if [ "$e2e" = yes ]; then
  step "End-to-end tests"
  "${root[@]}" python3 tests/e2e/run.py --bin "$PWD/$build/bin/knarr" --result "$results/e2e.json" || failed=1
  step "End-to-end tests in containerd"
  "${root[@]}" python3 tests/e2e/run.py --bin "$PWD/$build/bin/knarr" --runtime containerd --short --client knarr \
    --result "$results/e2e-containerd.json" || failed=1
fi

if [ "$preset" = release ]; then
  step "Client tests"
  # Debian's Python, whatever other one stands first on PATH: its package of the client belongs to it.
  "${root[@]}" /usr/bin/python3 tests/clients/run.py --bin "$PWD/$build/bin/knarr" --result "$results/clients.json" ||
    failed=1
fi

step "Result"
python3 tools/count_results.py "$results" || failed=1
exit "$failed"
