#!/usr/bin/env python3
"""Simulated nodes at scale: N hollow nodes, P pods of replica sets on them; one JSON line per figure.

    bench/hollow_bench.py [--knarr PROGRAM] [--nodes N] [--pods P] [--per-set P] [--rest SECONDS] [--most SECONDS]

The whole bar is --nodes 5000 --pods 100000 (the defaults are a tenth). Needs root, for a network namespace of its own.
Figures: seconds until all nodes are Ready, until all pods are Running and ready, memory of the server then (PSS), its
processor use at rest in percent of one processor, and what is on its disk.
"""

import argparse
import json
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import ROOT, Cluster, isolate, now, process_cpu, process_memory  # noqa: E402

SETS = "/apis/apps/v1/namespaces/default/replicasets"


def figure(name, value, unit, **more):
    line = {"bench": "hollow", "name": name, "value": round(value, 3), "unit": unit, **more}
    line["load"] = round(os.getloadavg()[0], 2)
    print(json.dumps(line), flush=True)


class HollowCluster(Cluster):
    """The control plane alone, with simulated nodes."""

    def __init__(self, program, nodes):
        super().__init__(program)
        self.flags += ["--no-node", "--hollow-nodes", str(nodes)]

    @staticmethod
    def node_ready(_):
        return True  # nodes are counted later

    def uninstall(self):
        flags = self.flags[:self.flags.index("--no-node")]
        done = subprocess.run([self.program, "uninstall", *flags], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"uninstall: {done.stderr}")


def count(api, path):
    """How many objects a list has, without reading them."""
    listed = api.call("GET", f"{path}{'&' if '?' in path else '?'}limit=1")
    return len(listed["items"]) + listed["metadata"].get("remainingItemCount", 0)


def ready_nodes(api):
    """Hollow nodes are Ready from the moment that they are there."""
    return count(api, "/api/v1/nodes")


def replica_set(name, replicas):
    labels = {"app": name}
    container = {"name": "main", "image": "pause", "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}}}
    return {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": name},
            "spec": {"replicas": replicas, "selector": {"matchLabels": labels},
                     "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}}}}


def wait(what, most, look):
    began, told = now(), 0
    while True:
        have, want = look()
        if have >= want:
            return now() - began
        if now() - began > most:
            raise RuntimeError(f"{what}: {have} of {want} after {most} s")
        if now() - told > 10:
            told = now()
            print(f"{what}: {have} of {want}", file=sys.stderr, flush=True)
        time.sleep(0.25)


def rest(server, seconds):
    """Percent of a processor while nothing is asked."""
    time.sleep(10)
    before, began = process_cpu(server), now()
    time.sleep(seconds)
    return 100 * (process_cpu(server) - before) / (now() - began)


def disk(folder):
    return sum(os.path.getsize(os.path.join(base, name)) for base, _, names in os.walk(folder) for name in names)


def measure(cluster, arguments):
    began = now()
    cluster.start()
    api = cluster.api()
    wait("nodes", arguments.most, lambda: (ready_nodes(api), arguments.nodes))
    figure("nodes_ready", now() - began, "s", nodes=arguments.nodes)
    figure("memory_nodes", process_memory(cluster.server.pid) / 1e6, "MB", nodes=arguments.nodes)
    began = now()
    sets = [(f"load-{i}", min(arguments.per_set, arguments.pods - first))
            for i, first in enumerate(range(0, arguments.pods, arguments.per_set))]
    for name, replicas in sets:
        api.call("POST", SETS, replica_set(name, replicas))

    def ready():
        status = [item.get("status", {}) for item in api.call("GET", SETS)["items"]]
        return sum(one.get("readyReplicas", 0) for one in status), arguments.pods

    wait("pods", arguments.most, ready)
    taken = now() - began
    running = len(api.call("GET", "/api/v1/pods?fieldSelector=status.phase%3DRunning")["items"])
    if running != arguments.pods:
        raise RuntimeError(f"{running} pods are Running, of {arguments.pods}")
    figure("pods_running", taken, "s", pods=arguments.pods, nodes=arguments.nodes)
    figure("pods_running_rate", arguments.pods / taken, "pods/s")
    figure("memory", process_memory(cluster.server.pid) / 1e6, "MB", pods=arguments.pods)
    figure("memory_per_pod", process_memory(cluster.server.pid) / arguments.pods, "bytes")
    figure("disk", disk(cluster.data) / 1e6, "MB", pods=arguments.pods)
    figure("cpu_at_rest", rest(cluster.server.pid, arguments.rest), "%", nodes=arguments.nodes, pods=arguments.pods)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--knarr", default=os.path.join(ROOT, "build/release/bin/knarr"))
    parser.add_argument("--nodes", type=int, default=500)
    parser.add_argument("--pods", type=int, default=10000)
    parser.add_argument("--per-set", type=int, default=1000)
    parser.add_argument("--rest", type=float, default=60)
    parser.add_argument("--most", type=float, default=1800)
    arguments = parser.parse_args()
    isolate()
    with HollowCluster(arguments.knarr, arguments.nodes) as cluster:
        measure(cluster, arguments)


if __name__ == "__main__":
    main()
