"""A node whose machine is about to go down, as logind tells it: its pods end in order, and the shutdown waits for that."""

import os
import shutil

import harness
from fake_logind import Logind
from harness import Failure, Skip, equal, pod_yaml, scenario, shell, wait_until
from test_zy_two_clusters import Second

MESSAGE = "Pod was terminated in response to imminent node shutdown."


class Leaving(Second):
    """One that holds a shutdown up for its pods."""

    def __init__(self, first, bus):
        super().__init__(first, "knarr-e2e3", "10.98.0.0/16", "10.99.0.0/16")
        self.bus = bus

    def environment(self):
        return super().environment() | {"DBUS_SYSTEM_BUS_ADDRESS": self.bus}

    def flags(self):
        return super().flags() + ["--shutdown-grace-period", "12s", "--shutdown-grace-period-critical-pods", "6s"]

    def uninstall(self):
        return self.run([self.binary, "uninstall", *super().flags()], seconds=60)


def tells_its_end(name, more=""):
    script = "trap 'date +%s; echo bye; sleep 0.5; exit 0' TERM; echo up; while :; do sleep 0.1; done"
    return pod_yaml(name, shell("c", script), more)


def check_node(kit, status, message):
    conditions = {c["type"]: c for c in kit.object("node e2e-node")["status"]["conditions"]}
    equal((conditions["Ready"]["status"], conditions["Ready"]["message"]), (status, message))
    return True


@scenario(clients=["knarr"])
def pods_end_before_the_machine_goes_down(kit):
    if not shutil.which("dbus-daemon"):
        raise Skip("no dbus-daemon")
    folder = os.path.join(kit.cluster.work, "bus")
    os.makedirs(folder)
    logind = Logind(folder)
    node = Leaving(kit.cluster, logind.address)
    try:
        node.start()
        node.load(os.path.join(kit.cluster.work, "images", "busybox.tar"))
        wait_until("the node holds a lock", lambda: logind.held() == 1)
        k = harness.Kit(node, "knarr", "default")
        k.create(tells_its_end("web"))
        k.create(tells_its_end("critical", "priorityClassName: system-node-critical"))
        deaf = pod_yaml("deaf", shell("c", "trap '' TERM; echo up; while :; do sleep 0.1; done"))
        k.create(deaf.replace("GracePeriodSeconds: 1", "GracePeriodSeconds: 3"))
        for name in ("web", "critical", "deaf"):
            k.ready(name)
        logind.prepare_for_shutdown(True)
        k.event("NodeNotReady Node e2e-node status is now: NodeNotReady")
        k.event("Shutdown Shutdown manager detected shutdown event")
        check_node(k, "False", "node is shutting down")
        wait_until("the shutdown may go on", lambda: logind.held() == 0, 20)
        for name in ("web", "critical", "deaf"):
            status = k.pod(name)["status"]
            equal((status["phase"], status["reason"], status["message"]), ("Failed", "Terminated", MESSAGE))
            target = next(c for c in status["conditions"] if c["type"] == "DisruptionTarget")
            equal((target["status"], target["reason"]), ("True", "TerminationByKubelet"))
        ends = [int(k.any(f"logs {name}").out.split()[-2]) for name in ("web", "critical")]
        # The critical one has waited for all others, also for the one that had to be killed after three seconds.
        if ends[1] - ends[0] < 2:
            raise Failure(f"not one after the other: {ends}")
        k.create(pod_yaml("late", shell("c", "exec sleep 1000"), "nodeName: e2e-node"))
        k.wait("it is refused", lambda: k.pod("late")["status"].get("reason") == "NodeShutdown")
        equal(k.pod("late")["status"]["message"],
              "Pod was rejected: Pod was rejected as the node is shutting down.")
        logind.prepare_for_shutdown(False)
        k.wait("the node is ready", lambda: check_node(k, "True", "kubelet is posting ready status"))
        wait_until("the node holds a lock again", lambda: logind.held() == 1)
        k.create(pod_yaml("again", shell("c", "exec sleep 1000")))
        k.ready("again")
    finally:
        node.stop()
        gone = node.uninstall()
        logind.stop()
    if gone.code != 0 or os.path.exists(node.data):
        raise Failure(repr(gone))
