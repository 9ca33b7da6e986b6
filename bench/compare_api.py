#!/usr/bin/env python3
"""Measures Knarr's API server and, in the same run, any other one; prints each figure and their ratios.

    bench/compare_api.py                                           Knarr alone
    bench/compare_api.py --peer-kubeconfig FILE --peer-pid PID…    both, taking turns
    bench/compare_api.py --only create-pod get watch --rounds 3

Knarr is started in a data folder of its own (`knarr server --no-node`) and stopped at the end; the peer must be running,
with no controllers or scheduler of its own if the comparison is to be one of API servers. --peer-pid names the processes
whose processor time and memory count (API server and database). Every line is JSON: the ones of knarr_api_load, then
for each figure the medians, their ratio, and whether the bar was reached. Exit code 1 when a bar was missed or a scenario
failed.
"""

import argparse
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# What runs, in this order: flags of knarr_api_load and scenario. "big" ones work on 50,000 pods.
SCENARIOS = [
    ("create-configmap", ["--clients", "1"]), ("create-configmap", ["--clients", "16"]),
    ("create-configmap", ["--clients", "64"]),
    ("create-pod", ["--clients", "1"]), ("create-pod", ["--clients", "16"]), ("create-pod", ["--clients", "64"]),
    ("get", ["--clients", "1"]), ("get", ["--clients", "64"]), ("get-cached", ["--clients", "64"]),
    ("patch", ["--clients", "16"]), ("patch", ["--clients", "64"]),
    ("delete", ["--clients", "16"]),
    ("watch", ["--watchers", "100"]), ("watch", ["--watchers", "1000"]),
    ("watch", ["--watchers", "100", "--rate", "100"]),
]
BIG = ["memory", "list", "list-paged", "list-cached", "list-none", "list-field", "list-table", "list-protobuf",
       "lists-memory", "memory"]

# figure: (at least so many times better than the peer, or None; at most this value, or None)
BARS = {
    "create-pod.64.rate": (8, None), "create-pod.64.cpu": (15, 215),
    "get.64.rate": (8, None), "get.64.cpu": (15, 37),
    "list.time": (12, None), "list-none.time": (None, 2), "list-field.time": (None, 2),
    "lists-memory.growth": (None, 5),
    "watch.1000.rate": (8, None), "watch.1000.cpu": (None, 7), "watch.100.at-100.p99": (None, 5),
    "memory-before-lists.pss": (9, None), "memory-after-lists.pss": (9, None), "restart.ready": (None, 1000),
}


def emit(**fields):
    print(json.dumps(fields), flush=True)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Knarr:
    """A server of our own, for the time of the run."""

    name = "knarr"

    def __init__(self, program, folder):
        self.program, self.folder = program, folder
        self.port = free_port()
        self.process = None

    @property
    def kubeconfig(self):
        return os.path.join(self.folder, "data", "kubeconfig")

    @property
    def pids(self):
        return [str(self.process.pid)]

    def start(self):
        began = time.monotonic()
        log = os.path.join(self.folder, "server.log")
        with open(log, "ab") as out:
            command = [self.program, "server", "--no-node", "--data-dir", os.path.join(self.folder, "data"), "--listen",
                       f"127.0.0.1:{self.port}", "--write-kubeconfig", os.path.join(self.folder, "kubeconfig")]
            self.process = subprocess.Popen(command, stdout=out, stderr=out)
        while time.monotonic() - began < 60:
            if self.process.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                if os.path.exists(self.kubeconfig):
                    return time.monotonic() - began
            except OSError:
                pass
            time.sleep(0.002)
        with open(log, encoding="utf-8", errors="replace") as file:
            sys.exit("knarr did not start:\n" + file.read()[-2000:])

    def stop(self):
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Peer:
    def __init__(self, kubeconfig, pids, name):
        self.kubeconfig, self.pids, self.name = kubeconfig, pids, name


class Run:
    def __init__(self, load, options):
        self.load, self.options = load, options
        self.figures = {}  # figure → target → values
        self.failed = False

    def add(self, name, target, value):
        self.figures.setdefault(name, {}).setdefault(target, []).append(value)

    def scenario(self, server, scenario, flags, rename=None):
        command = [self.load, "--kubeconfig", server.kubeconfig, "--target", server.name, "--length",
                   f"{self.options.seconds}s", *flags]
        for pid in server.pids:
            command += ["--pid", pid]
        done = subprocess.run(command + [scenario], stdout=subprocess.PIPE, check=False, text=True)
        for line in done.stdout.splitlines():
            figure = json.loads(line)
            if rename:
                figure["name"] = figure["name"].replace(*rename)
            emit(**figure)
            self.add(figure["name"], server.name, figure["value"])
        if done.returncode != 0:
            self.failed = True
            emit(bench="api", target=server.name, name=scenario, failed=done.returncode)
        return done.returncode == 0

    def summary(self, knarr, peer):
        good = not self.failed
        for name, by_target in self.figures.items():
            if knarr.name not in by_target:
                continue  # its scenario failed, which was told
            ours = statistics.median(by_target[knarr.name])
            line = {"bench": "api-compare", "name": name, "knarr": ours}
            better = None
            if peer is not None and peer.name in by_target:
                theirs = statistics.median(by_target[peer.name])
                line[peer.name] = theirs
                more_is_better = name.endswith(".rate")
                top, below = (ours, theirs) if more_is_better else (theirs, ours)
                better = top / below if below else None
                line["times_better"] = better and round(better, 2)
            factor, most = BARS.get(name, (None, None))
            if factor is not None and better is not None:
                line["bar"], line["reached"] = f"{factor} x", better >= factor
            if most is not None:
                reached = ours <= most and line.get("reached", True)
                line["bar"] = (line["bar"] + f", <= {most}") if "bar" in line else f"<= {most}"
                line["reached"] = reached
            good = good and line.get("reached", True)
            emit(**line)
        return good


def small(run, servers, options):
    for _ in range(options.rounds):
        for scenario, flags in SCENARIOS:
            if options.only and scenario not in options.only:
                continue
            for server in servers:
                run.scenario(server, scenario, flags)
        for server in servers:
            run.scenario(server, "clear", [])


def big(run, servers, options, knarr):
    wanted = [name for name in BIG if not options.only or name in options.only]
    if not wanted and options.only and "restart" not in options.only:
        return
    flags = ["--objects", str(options.pods), "--namespace", "bench-lists"]
    for server in servers:
        if not run.scenario(server, "fill", flags):
            return
    lists_seen = False
    for name in wanted:
        if name == "memory":
            rename = ("memory.", "memory-after-lists." if lists_seen else "memory-before-lists.")
            for server in servers:
                run.scenario(server, "memory", flags, rename)
            continue
        lists_seen = True
        for _ in range(1 if name == "lists-memory" else options.rounds):
            for server in servers:
                run.scenario(server, name, [*flags, "--lists", "10" if name in ("list-none", "list-field") else "1"])
    if not options.only or "restart" in options.only:
        knarr.stop()
        seconds = knarr.start()
        emit(bench="api", target=knarr.name, name="restart.ready", value=round(seconds * 1000, 1), unit="ms")
        run.add("restart.ready", knarr.name, seconds * 1000)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    build = os.path.join(ROOT, "build", "release", "bin")
    parser.add_argument("--knarr", default=os.path.join(build, "knarr"))
    parser.add_argument("--load", default=os.path.join(build, "knarr_api_load"))
    parser.add_argument("--peer-kubeconfig")
    parser.add_argument("--peer-pid", action="append", default=[])
    parser.add_argument("--peer-name", default="peer")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--pods", type=int, default=50000)
    parser.add_argument("--only", nargs="*", help="scenarios of knarr_api_load, and: restart")
    options = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="knarr-compare-")
    knarr = Knarr(options.knarr, folder)
    peer = None
    if options.peer_kubeconfig:
        peer = Peer(options.peer_kubeconfig, options.peer_pid, options.peer_name)
    run = Run(options.load, options)
    servers = [knarr] + ([peer] if peer else [])
    try:
        knarr.start()
        small(run, servers, options)
        big(run, servers, options, knarr)
        if peer:
            run.scenario(peer, "clear", ["--namespace", "bench-lists"])
        return 0 if run.summary(knarr, peer) else 1
    finally:
        knarr.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
