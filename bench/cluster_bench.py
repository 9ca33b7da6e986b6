#!/usr/bin/env python3
"""Measures a whole cluster from outside; prints one JSON line per figure.

    bench/cluster_bench.py [--knarr PROGRAM] [--only NAME…] [--samples N] [--idle-seconds N] [--pods N] [--host-network]

Needs root, crun, busybox-static and a C compiler (for the sample image). A line says what was measured, the value, the
bar it is held against ("bar", absent where there is none) and whether it was met; "load" is the machine's load average.
The cluster lives in a network namespace of its own; --host-network leaves it in the machine's.
"""

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import PODS, ROOT, Cluster, isolate, now, process_cpu, process_memory  # noqa: E402

MB = 1e6


class Report:
    def __init__(self):
        self.missed = []

    def figure(self, name, value, unit, bar=None, **more):
        line = {"bench": "cluster", "name": name, "value": round(value, 4), "unit": unit}
        if bar is not None:
            line["bar"] = bar
            line["met"] = value <= bar
            if value > bar:
                self.missed.append(name)
        line.update(more)
        line["load"] = round(os.getloadavg()[0], 2)
        print(json.dumps(line, ensure_ascii=False), flush=True)


def pod(name, image="knarr/hello:1", command=None, probe=None, grace=30, restart="Always"):
    container = {"name": "main", "image": image, "imagePullPolicy": "IfNotPresent"}
    if command:
        container["command"] = command
    if probe:
        container["readinessProbe"] = probe
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": "bench"}},
            "spec": {"containers": [container], "terminationGracePeriodSeconds": grace, "restartPolicy": restart}}


def whole_process(command, times, environment=None):
    """Milliseconds from fork to the end, each time."""
    out = []
    for _ in range(times):
        began = now()
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        out.append((now() - began) * 1e3)
    return out


def spread(values):
    ordered = sorted(values)
    return {"samples": len(ordered), "min": round(ordered[0], 3),
            "p90": round(ordered[min(len(ordered) - 1, len(ordered) * 9 // 10)], 3), "max": round(ordered[-1], 3)}


def percentile(values, share):
    """The smallest value that `share` percent of all are no larger than."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * share // 100) - 1)]


def program_size(path):
    with tempfile.TemporaryDirectory() as folder:
        stripped = os.path.join(folder, "stripped")
        subprocess.run(["strip", "-o", stripped, path], check=True)
        return os.path.getsize(stripped)


def bench_program(report, options):
    times = whole_process([options.knarr, "version"], 50)
    report.figure("version_whole_process", statistics.median(times), "ms", 10, **spread(times))
    shim = os.path.join(os.path.dirname(options.knarr), "knarr-shim")
    report.figure("program_stripped", program_size(options.knarr) / MB, "MB", 15,
                  shim_mb=round(program_size(shim) / MB, 3))


def bench_cold_start(report, options):
    ready, node, cpu, phases = [], [], [], []
    for _ in range(options.starts):
        with Cluster(options.knarr) as cluster:
            to_ready, to_node = cluster.start()
            ready.append(to_ready * 1e3)
            node.append(to_node * 1e3)
            cpu.append(process_cpu(cluster.server.pid) * 1e3)
            phases.append(cluster.phases())
    report.figure("cold_start_readyz", statistics.median(ready), "ms", **spread(ready))
    report.figure("cold_start_node_ready", statistics.median(node), "ms", 200, **spread(node),
                  cpu_ms=round(statistics.median(cpu), 2),
                  phases_ms={name: round(statistics.median(one[name] for one in phases), 2) for name in phases[0]})


def bench_idle(report, cluster, options, name="idle"):
    time.sleep(options.settle_seconds)
    pids = cluster.processes()
    memory = sum(map(process_memory, pids)) / MB
    before, began = {pid: process_cpu(pid) for pid in pids}, now()
    time.sleep(options.idle_seconds)
    seconds = now() - began
    used = sum(process_cpu(pid) - before[pid] for pid in pids)
    report.figure(f"{name}_memory_pss", memory, "MB", 40 if name == "idle" else None, processes=len(pids))
    report.figure(f"{name}_cpu", used / seconds * 100, "% of a core", {"idle": 0.2, "idle_110_pods": 1}.get(name),
                  seconds=round(seconds, 1), cpu_ms=round(used * 1e3, 2))


def one_at_a_time(cluster, api, watch, prefix, times, **spec):
    bound, ready, gone = [], [], []
    for number in range(times):
        name = f"{prefix}-{number}"
        began = now()
        api.call("POST", PODS, pod(name, **spec))
        ready.append((watch.wait("ready", [name])[name] - began) * 1e3)
        bound.append((watch.wait("scheduled", [name])[name] - began) * 1e3)
        began = now()
        api.call("DELETE", f"{PODS}/{name}")
        gone.append((watch.wait("gone", [name])[name] - began) * 1e3)
    return bound, ready, gone


def bench_pod(report, cluster, options):
    api, watch = cluster.api(), cluster.watch()
    one_at_a_time(cluster, api, watch, "warm-up", 1)
    cpu = process_cpu(cluster.server.pid)
    bound, ready, gone = one_at_a_time(cluster, api, watch, "one", options.samples)
    cpu = (process_cpu(cluster.server.pid) - cpu) / options.samples
    report.figure("pod_bound", statistics.median(bound), "ms", **spread(bound))
    report.figure("pod_ready", statistics.median(ready), "ms", 50, **spread(ready), server_cpu_ms=round(cpu * 1e3, 2))
    report.figure("pod_ready_p99", percentile(ready, 99), "ms", 150, samples=len(ready))
    report.figure("pod_deleted", statistics.median(gone), "ms", **spread(gone))
    probe = {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 1}
    _, ready, _ = one_at_a_time(cluster, api, watch, "probed", options.samples, probe=probe)
    report.figure("pod_ready_http_probe", statistics.median(ready), "ms", **spread(ready))


def processes_of(command):
    """{last argument: pid} of what runs with this first argument."""
    out = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                words = file.read().split(b"\0")[:-1]
        except OSError:
            continue
        if len(words) > 1 and words[0] == command:
            out[words[-1].decode()] = int(pid)
    return out


def bench_exit(report, cluster, options):
    """From a container's death to the watch that tells of it: the node's and the API server's part, a commit and all."""
    api, watch = cluster.api(), cluster.watch()
    names = {str(1000000 + number): f"exit-{number}" for number in range(min(options.samples, 100))}
    for seconds, name in names.items():
        api.call("POST", PODS, pod(name, image="busybox:latest", command=["sleep", seconds], restart="Never"))
    watch.wait("ready", names.values())
    pids = processes_of(b"sleep")
    seen = []
    for seconds, name in names.items():
        began = now()
        os.kill(pids[seconds], signal.SIGKILL)
        seen.append((watch.wait("ended", [name])[name] - began) * 1e3)
    report.figure("container_exit_seen", statistics.median(seen), "ms", **spread(seen))
    report.figure("container_exit_seen_p99", percentile(seen, 99), "ms", 10, samples=len(seen))
    for name in names.values():
        api.call("DELETE", f"{PODS}/{name}")
    watch.wait("gone", names.values())


def bench_full(report, cluster, options):
    """As many pods as a node takes, with a probe each."""
    options = argparse.Namespace(**vars(options) | {"pods": 110})
    bench_burst(report, cluster, options, {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 10})


# Pods at once → the bar, in seconds.
AT_ONCE = {30: 1, 110: 4}


def bench_burst(report, cluster, options, probe=None):
    api, watch = cluster.api(), cluster.watch()
    count = options.pods
    names = [f"burst-{count}-{number}" for number in range(count)]
    time.sleep(2)
    before = cluster.memory()
    server = cluster.server.pid
    server_before = process_memory(server)
    cpu = process_cpu(server)
    began = now()
    for name in names:
        api.call("POST", PODS, pod(name, probe=probe))
    posted = now() - began
    last = max(watch.wait("ready", names).values()) - began
    cpu = process_cpu(server) - cpu
    report.figure(f"pods_{count}_at_once_ready", last, "s", AT_ONCE.get(count), posted_s=round(posted, 3),
                  server_cpu_ms_per_pod=round(cpu * 1e3 / count, 2))
    time.sleep(options.settle_seconds)
    added = (cluster.memory() - before) / count / MB
    pids = cluster.processes()
    report.figure("pod_memory_added", added, "MB", 1, pods=count, processes_per_pod=round((len(pids) - 1) / count, 2),
                  server_mb=round((process_memory(server) - server_before) / count / MB, 3))
    bench_idle(report, cluster, options, f"idle_{count}_pods")
    began = now()
    for name in names:
        api.call("DELETE", f"{PODS}/{name}")
    last = max(watch.wait("gone", names).values()) - began
    report.figure(f"pods_{count}_at_once_gone", last, "s")


def bench_commands(report, cluster, options):
    api, watch = cluster.api(), cluster.watch()
    api.call("POST", PODS, pod("box", image="busybox:latest", command=["sleep", "100000"], grace=0))
    watch.wait("ready", ["box"])
    environment = dict(os.environ, KUBECONFIG=cluster.kubeconfig)
    clients = [("knarr_kubectl", [options.knarr, "kubectl"], True)]
    if shutil.which("kubectl"):
        clients.append(("real_kubectl", ["kubectl"], False))
    for name, client, held in clients:
        for verb, arguments, bar in (("get_pod", ["get", "pod"], 6), ("exec_true", ["exec", "box", "--", "true"], 25)):
            times = whole_process(client + arguments, options.samples, environment)
            aim = {"aim": bar} if held else {}
            report.figure(f"{name}_{verb}", statistics.median(times), "ms", **aim, **spread(times))
    api.call("DELETE", f"{PODS}/box")
    watch.wait("gone", ["box"])


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--knarr", default=os.path.join(ROOT, "build", "release", "bin", "knarr"))
    parser.add_argument("--only", nargs="*", default=["program", "start", "idle", "pod", "exit", "burst", "full", "commands"])
    parser.add_argument("--starts", type=int, default=9)
    parser.add_argument("--samples", type=int, default=20)
    parser.add_argument("--pods", type=int, default=30)
    parser.add_argument("--idle-seconds", type=float, default=60)
    parser.add_argument("--settle-seconds", type=float, default=5)
    parser.add_argument("--host-network", action="store_true")
    options = parser.parse_args()
    options.knarr = os.path.abspath(options.knarr)
    return options


def main():
    options = parse()
    report = Report()
    if "program" in options.only:
        bench_program(report, options)
    if not options.host_network:
        isolate()
    if "start" in options.only:
        bench_cold_start(report, options)
    steps = [("idle", bench_idle), ("pod", bench_pod), ("exit", bench_exit), ("burst", bench_burst),
             ("full", bench_full), ("commands", bench_commands)]
    if any(name in options.only for name, _ in steps):
        with Cluster(options.knarr) as cluster:
            cluster.start()
            if set(options.only) & {"pod", "exit", "burst", "full", "commands"}:
                cluster.load_images()
            for name, step in steps:
                if name in options.only:
                    step(report, cluster, options)
    if report.missed:
        print("missed: " + " ".join(report.missed), file=sys.stderr)
    return 1 if report.missed else 0


if __name__ == "__main__":
    sys.exit(main())
