"""A node of its own that always runs low on memory: who is evicted, what is told of it, and who may not begin."""

import os

import harness
from harness import Failure, equal, pod_yaml, scenario, shell, wait_until
from test_zy_two_clusters import Second


class Starved(Second):
    """One whose soft threshold no machine is above."""

    def __init__(self, first):
        super().__init__(first, "knarr-e2e2", "10.96.0.0/16", "10.97.0.0/16")

    def flags(self):
        return super().flags() + ["--eviction-hard", "nodefs.available<1", "--eviction-soft", "memory.available<90%",
                                  "--eviction-soft-grace-period", "memory.available=1s",
                                  "--eviction-minimum-reclaim", "memory.available=20%",
                                  "--eviction-max-pod-grace-period", "2"]

    def uninstall(self):
        return self.run([self.binary, "uninstall", *super().flags()], seconds=60)


def sleeper(name, requests, priority="", more=""):
    resources = f"resources:\n  requests: {{{requests}}}" if requests else ""
    script = "head -c 20M /dev/zero | tail & exec sleep 1000" if name == "greedy" else "exec sleep 1000"
    return pod_yaml(name, shell("c", script, resources), priority + more)


@scenario(clients=["knarr"])
def memory_pressure_evicts_the_greedy_first(kit):
    node = Starved(kit.cluster)
    try:
        node.start()
        node.load(os.path.join(kit.cluster.work, "images", "busybox.tar"))
        k = harness.Kit(node, "knarr", "default")
        k.create(sleeper("modest", "memory: 1Gi"))
        k.create(sleeper("greedy", "memory: 1Ki"))
        k.ready("modest")
        k.ready("greedy")
        k.event(r"NodeHasInsufficientMemory Node \S+ status is now: NodeHasInsufficientMemory", 40)
        k.event("EvictionThresholdMet Attempting to reclaim memory")
        message = (r"The node was low on resource: memory. Threshold quantity: \w+, available: \w+. "
                   r"Container c was using \w+, request is 1Ki, has larger consumption of memory. ")
        k.event("Evicted " + message)
        k.wait("it has failed", lambda: k.pod("greedy")["status"]["phase"] == "Failed")
        status = k.pod("greedy")["status"]
        equal(status["reason"], "Evicted")
        target = next(c for c in status["conditions"] if c["type"] == "DisruptionTarget")
        equal((target["status"], target["reason"]), ("True", "TerminationByKubelet"))
        conditions = {c["type"]: c for c in k.object("node e2e-node")["status"]["conditions"]}
        equal(conditions["MemoryPressure"]["status"], "True")
        equal(conditions["MemoryPressure"]["reason"], "KubeletHasInsufficientMemory")
        equal((conditions["DiskPressure"]["status"], conditions["PIDPressure"]["status"]), ("False", "False"))
        wait_until("a taint", lambda: any(t["key"] == "node.kubernetes.io/memory-pressure"
                                          for t in k.object("node e2e-node")["spec"].get("taints", [])))
        # Bound by hand, so that only the node is left to refuse.
        k.create(pod_yaml("late", shell("c", "exec sleep 1000"), "nodeName: e2e-node"))
        k.wait("it is refused", lambda: k.pod("late")["status"].get("reason") == "Evicted")
        equal(k.pod("late")["status"]["message"],
              "Pod was rejected: The node had condition: [MemoryPressure]. ")
    finally:
        node.stop()
        gone = node.uninstall()
    if gone.code != 0 or os.path.exists(node.data):
        raise Failure(repr(gone))
