#!/usr/bin/env python3
"""Kills the server, and the node agent in it, again and again, at random moments, while pods start, run and end.

    tests/crash/agent_kills.py --bin build/release/bin/knarr [--kills 200] [--seed N] [--pods 12] [--keep]

Every container writes down that it has begun, and that it has ended, in a file of the machine: what the API says must
agree with that in the end. No container is lost, doubled or begun anew without need, and when all pods are gone nothing
of them is left: no mount, control group, process, folder, address or range of user ids. Needs root; runs in namespaces
of its own, as the end-to-end tests do. A seed chooses the same pods and moments again, though not the same race.
"""

import argparse
import collections
import glob
import json
import os
import random
import shutil
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
E2E = os.path.join(os.path.dirname(HERE), "e2e")
sys.path.insert(0, E2E)

import harness  # noqa: E402
import leaks  # noqa: E402
from run import enter_namespaces, start  # noqa: E402

NAMESPACE = "kills"

# What a container does between writing that it has begun and that it has ended.
KINDS = {
    "stays": ("Always", "trap 'exit 0' TERM; while true; do sleep 0.05; done"),
    "once": ("Never", "sleep {seconds}"),
    "fails": ("Never", "sleep {seconds}; code=7"),
    # The first time it fails; there is one more start, after a back-off.
    "again": ("OnFailure", "sleep {seconds}; if [ $(grep -c begin $file) = 1 ]; then code=1; fi"),
}
STARTS = {"stays": 1, "once": 1, "fails": 1, "again": 2}


def manifest(name, kind, ledger, choice):
    policy, work = KINDS[kind]
    work = work.format(seconds=round(choice.uniform(0, 2), 2))
    script = f"file=/ledger/$UID_OF_POD; echo begin $$ >>$file; code=0; {work}; echo end $code >>$file; exit $code"
    env = [{"name": "UID_OF_POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}}]
    mounts = [{"name": "ledger", "mountPath": "/ledger"}, {"name": "own", "mountPath": "/own"}]

    def container(called, text):
        return {"name": called, "image": "busybox", "imagePullPolicy": "Never", "command": ["sh", "-c", text], "env": env,
                "volumeMounts": mounts}

    spec = {"restartPolicy": policy, "terminationGracePeriodSeconds": 2, "containers": [container("c", script)],
            "volumes": [{"name": "ledger", "hostPath": {"path": ledger}},
                        {"name": "own", "emptyDir": {"medium": choice.choice(["", "Memory"])}}]}
    if choice.random() < 0.3:
        spec["initContainers"] = [container("i", "echo init >>/ledger/$UID_OF_POD.init")]
    if choice.random() < 0.4:
        spec["hostUsers"] = False
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"kind": kind}}, "spec": spec}


class Ledger:
    """What the containers themselves have written."""

    def __init__(self, folder):
        self.folder = folder
        os.makedirs(folder)
        os.chmod(folder, 0o777)

    def lines(self, name, word):
        try:
            with open(os.path.join(self.folder, name), encoding="utf-8") as file:
                return [line for line in file.read().splitlines() if line.startswith(word)]
        except FileNotFoundError:
            return []


class Kills:
    def __init__(self, options, cluster, ledger):
        self.options, self.cluster, self.ledger = options, cluster, ledger
        self.random = random.Random(options.seed)
        self.kit = harness.Kit(cluster, "knarr", NAMESPACE)
        self.number = 0
        self.seen = {}  # uid: containerID of what stays
        self.problems = []
        self.counts = collections.Counter()

    def pods(self):
        return {pod["metadata"]["name"]: pod for pod in self.kit.items("pods")}

    def create(self):
        self.number += 1
        kind = self.random.choice(sorted(KINDS))
        text = json.dumps(manifest(f"{kind}-{self.number}", kind, self.ledger.folder, self.random))
        # The server may be gone before it answers: what is there is looked at later.
        self.kit.any("create -f -", stdin=text, seconds=10)

    def disturb(self, present):
        """Something that is under way when the server is killed."""
        if len(present) < self.options.pods:
            self.create()
            return
        name = self.random.choice(sorted(present))
        self.kit.any(f"delete pod {name} --wait=false", seconds=10)
        self.counts["deletions"] += 1

    def problem(self, text):
        print(f"kill {self.counts['kills']}: {text}", flush=True)
        self.problems.append(text)

    def check(self, pod, settled):
        """That a pod is as its containers say; what is on its way is looked at when it is there."""
        name, uid = pod["metadata"]["name"], pod["metadata"]["uid"]
        if "deletionTimestamp" in pod["metadata"]:
            return
        kind = pod["metadata"]["labels"]["kind"]
        begins, ends = (len(self.ledger.lines(uid, word)) for word in ("begin", "end"))
        if begins > STARTS[kind]:
            self.problem(f"{name} was begun {begins} times, {STARTS[kind]} at most")
        if len(self.ledger.lines(uid + ".init", "init")) > 1:
            self.problem(f"{name}: its init container was begun anew")
        status = (pod["status"].get("containerStatuses") or [{}])[0]
        if kind == "stays" and status.get("state", {}).get("running"):
            if self.seen.setdefault(uid, status["containerID"]) != status["containerID"] or status["restartCount"]:
                self.problem(f"{name} is another container: {status}")
        if not settled:
            return
        done = {"stays": "Running", "fails": "Failed"}.get(kind, "Succeeded")
        want = (done, STARTS[kind], 0 if kind == "stays" else STARTS[kind], STARTS[kind] - 1)
        got = (pod["status"]["phase"], begins, ends, status.get("restartCount"))
        if got != want:
            self.problem(f"{name}: (phase, begun, ended, restarts) {want} expected, got {got}")
        ended = status.get("state", {}).get("terminated")
        if kind != "stays" and (ended or {}).get("exitCode") != (7 if kind == "fails" else 0):
            self.problem(f"{name}: {status.get('state')}")

    def kill_once(self):
        disturbance = threading.Thread(target=self.disturb, args=(self.pods(),))
        disturbance.start()
        time.sleep(self.random.uniform(0, 0.5))
        self.cluster.kill()
        self.counts["kills"] += 1
        disturbance.join()
        time.sleep(self.random.choice([0, 0, self.random.uniform(0, 1)]))
        self.cluster.start()
        for pod in self.pods().values():
            self.check(pod, settled=False)

    def settle(self):
        """Until every pod is what it is to become; then that is looked at closely."""
        def settled():
            for pod in self.pods().values():
                kind = pod["metadata"]["labels"]["kind"]
                phase = pod["status"].get("phase")
                if "deletionTimestamp" in pod["metadata"] or (phase == "Running") != (kind == "stays"):
                    return False
                if phase == "Pending":
                    return False
            return True

        self.kit.wait("every pod is through, or runs", settled, 120)
        for pod in self.pods().values():
            self.check(pod, settled=True)
            self.counts["pods looked at"] += 1

    def leave(self):
        """All pods go, and nothing of them stays."""
        self.kit.ok("delete pods --all --wait=false", seconds=60)
        self.kit.wait("no pod is left", lambda: not self.pods(), 120)

        def left():
            data = self.cluster.data
            out = [path for folder in ("run/sandboxes", "run/oci", "pods", "network/leases")
                   for path in glob.glob(f"{data}/{folder}/*")]
            now = leaks.snapshot(self.cluster.work)
            out += sorted(now["mount"]) + sorted(now["process"])
            out += [group for group in now["control group"] if "/pod" in group]
            return out

        try:
            harness.wait_until("nothing is left of the pods", lambda: not left(), 30)
        except harness.Failure:
            for thing in left():
                self.problem(f"left behind: {thing}")

    def run(self):
        self.cluster.run([self.cluster.binary, "kubectl", "create", "namespace", NAMESPACE])
        self.kit.wait("the namespace's account", lambda: self.kit.any("get serviceaccount default").code == 0)
        began = time.monotonic()
        while self.counts["kills"] < self.options.kills:
            self.kill_once()
            if self.counts["kills"] % 25 == 0 or self.counts["kills"] == self.options.kills:
                self.settle()
                print(f"{self.counts['kills']} kills, {self.number} pods, {len(self.problems)} problems, "
                      f"{time.monotonic() - began:.0f} s", flush=True)
        self.leave()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    root = os.path.dirname(os.path.dirname(HERE))
    parser.add_argument("--bin", default=os.environ.get("KNARR_BIN", os.path.join(root, "build/release/bin/knarr")))
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pods", type=int, default=12)
    parser.add_argument("--keep", action="store_true", help="keep the work folder")
    options = parser.parse_args()
    options.runtime, options.oci_runtime = "own", "crun"
    if os.geteuid() != 0:
        sys.exit("agent_kills.py: containers need root")
    enter_namespaces()
    work = tempfile.mkdtemp(prefix="knarr-kills-")
    before = leaks.snapshot(work)
    cluster = start(options, work)
    kills = Kills(options, cluster, Ledger(os.path.join(work, "ledger")))
    try:
        kills.run()
    except (harness.Failure, RuntimeError) as failure:
        kills.problem(str(failure))
    finally:
        cluster.stop()
        cluster.uninstall()
        left = leaks.difference(before, leaks.snapshot(work))
        if left:
            kills.problem(left)
        leaks.remove(cluster.data)
    print(f"agent kills: {dict(kills.counts)}, seed {options.seed}, {kills.number} pods, {len(kills.problems)} problems")
    if options.keep or kills.problems:
        print("kept", work)
    else:
        shutil.rmtree(work, ignore_errors=True)
    sys.exit(1 if kills.problems else 0)


if __name__ == "__main__":
    main()
