#!/usr/bin/env bash
# From a clean clone to a web page out of a cluster: installs what is missing, builds Knarr, starts a one-machine
# cluster in the background, runs three copies of a small web server in it and fetches their page through a Service.
# Running it again uses what is there.
#
#   tools/quickstart.sh [--data-dir DIR] [--listen ADDR:PORT]
#
# KNARR_BIN=FILE uses a program that is built already.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

data=/var/lib/knarr listen=127.0.0.1:6443
while [ $# -gt 0 ]; do
  case $1 in
    --data-dir) data=${2:?--data-dir wants a folder} && shift 2 ;;
    --listen) listen=${2:?--listen wants ADDR:PORT} && shift 2 ;;
    -h | --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0" && exit 0 ;;
    *) echo "quickstart: unknown option $1; see --help" >&2 && exit 2 ;;
  esac
done

step() { printf '\n\033[1m==> %s\033[0m\n' "$*"; }
die() {
  echo "quickstart: $*" >&2
  exit 1
}

# Starting containers needs root; building does not.
root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || die "containers need root, and there is no sudo: run this as root"
  root=(sudo "--preserve-env=HOME,KUBECONFIG")
fi

[ -z "${KUBECONFIG:-}" ] || kubeconfig=${KUBECONFIG%%:*}
kubeconfig=${kubeconfig:-${HOME:?HOME is not set}/.kube/config}
knarr=${KNARR_BIN:-build/release/bin/knarr}
log=$data/server.log
# The cluster's own kubeconfig: whatever the user's current context is, this talks to the cluster made here.
kubectl() { "${root[@]}" "$knarr" kubectl --kubeconfig "$data/kubeconfig" "$@"; }

check_machine() {
  [ "$(uname -s)" = Linux ] || die "Knarr runs on Linux; this is $(uname -s)"
  grep -qw overlay /proc/filesystems || "${root[@]}" modprobe overlay 2>/dev/null ||
    die "the kernel has no overlay file system (modprobe overlay failed)"
  [ -d /sys/fs/cgroup ] && grep -q cgroup /proc/mounts ||
    die "no control groups are mounted at /sys/fs/cgroup (in a container? start it with --privileged)"
}

build() {
  if [ -n "${KNARR_BIN:-}" ]; then
    [ -x "$KNARR_BIN" ] || die "KNARR_BIN: $KNARR_BIN is no program"
    return 0
  fi
  step "What is missing"
  tools/install-dependencies.sh
  step "Build (some minutes the first time)"
  cmake --preset release -DKNARR_TESTS=OFF -DKNARR_BENCH=OFF >build.log.$$ 2>&1 ||
    { cat build.log.$$ >&2 && rm -f build.log.$$ && die "cmake could not configure the build"; }
  rm -f build.log.$$
  cmake --build --preset release --parallel "$(nproc)" --target knarr
}

ready() { kubectl get --raw /readyz >/dev/null 2>&1 || kubectl get namespaces >/dev/null 2>&1; }

# waits SECONDS for "what", printing a dot at each look: wait_for 30 "the API" COMMAND…
wait_for() {
  local seconds=$1 what=$2 start=$SECONDS
  shift 2
  printf '%s ' "$what"
  until "$@" >/dev/null 2>&1; do
    [ $((SECONDS - start)) -lt "$seconds" ] || return 1
    printf '.'
    sleep 0.5
  done
  echo " ok"
}

node_ready() { kubectl get nodes --no-headers | grep -qw Ready; }

start_cluster() {
  step "Start the cluster ($data)"
  if "${root[@]}" test -e "$data/kubeconfig" && ready; then
    echo "already running"
    return 0
  fi
  "${root[@]}" mkdir -p -m 0700 "$data"
  "${root[@]}" setsid sh -c '
    program=$1 log=$2 data=$3 listen=$4 kubeconfig=$5
    "$program" server --data-dir "$data" --listen "$listen" --write-kubeconfig "$kubeconfig" \
      >>"$log" 2>&1 </dev/null & echo $! >"$data/server.pid"' \
    sh "$(realpath "$knarr")" "$log" "$data" "$listen" "$kubeconfig"
  if ! wait_for 30 "waiting for the node" node_ready; then
    "${root[@]}" tail -n 20 "$log" >&2
    die "the cluster did not become ready in 30 s; its log is $log"
  fi
}

hello_ready() { [ "$(kubectl get replicaset hello -o 'jsonpath={.status.readyReplicas}')" = 3 ]; }

run_hello() {
  step "Load the sample image"
  examples/web/build-image.sh build/images/hello.tar
  "${root[@]}" env KNARR_DATA_DIR="$data" "$knarr" docker load -i build/images/hello.tar
  step "Run three copies, and a Service in front of them"
  kubectl apply -f examples/web/hello.yaml
  if ! wait_for 60 "waiting for three pods to be ready" hello_ready; then
    kubectl get pods,events >&2 || true
    die "the pods did not become ready in 60 s; see above, and the cluster's log $log"
  fi
  kubectl get pods -o wide
}

fetch() { python3 - "$@" <<'PY'
import sys, urllib.request
address, count, pods = sys.argv[1], int(sys.argv[2]), {}
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
for _ in range(count):
    name = opener.open(f"http://{address}/hostname", timeout=5).read().decode().strip()
    pods[name] = pods.get(name, 0) + 1
print(opener.open(f"http://{address}/", timeout=5).read().decode())
for name, answers in sorted(pods.items()):
    print(f"  {name} answered {answers} of {count} requests")
if len(pods) < 2:
    sys.exit("quickstart: only one pod answered")
PY
}

fetch_page() {
  step "Fetch the page through the Service"
  local address
  address=$(kubectl get service hello -o 'jsonpath={.spec.clusterIP}')
  echo "http://$address/"
  # The proxy learns of new endpoints a moment after the pods' status is written.
  wait_for 10 "waiting for the Service to answer" fetch "$address" 12 || true
  fetch "$address" 20
}

go_on() {
  step "Go on"
  local sudo="" port flags=""
  [ ${#root[@]} -eq 0 ] || sudo="sudo "
  [ "$data" = /var/lib/knarr ] || flags=" --data-dir $data"
  [ "$listen" = 127.0.0.1:6443 ] || flags="$flags --listen $listen"
  port=$(kubectl get service hello -o 'jsonpath={.spec.ports[0].nodePort}')
  cat <<TEXT
kubeconfig   $kubeconfig (context knarr); any kubectl works, or: $knarr kubectl
try          $knarr kubectl get pods -o wide
             $knarr kubectl scale rs hello --replicas=5
             $knarr kubectl logs -l app=hello
             $knarr kubectl delete pod -l app=hello      (they come back)
the page     http://127.0.0.1:$port/ on this machine
log          $log
stop         ${sudo}kill \$(${sudo}cat $data/server.pid)      (pods go on running; start again with: ${sudo}$knarr server$flags)
remove all   stop, then ${sudo}$knarr uninstall$flags --write-kubeconfig $kubeconfig
TEXT
}

check_machine
build
start_cluster
run_hello
fetch_page
go_on
