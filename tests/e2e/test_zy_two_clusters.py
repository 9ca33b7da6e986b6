"""A second cluster on the machine of the first: refused when it would take what is the first's, and apart otherwise."""

import os
import subprocess

import harness
from harness import Failure, fetch, pod_yaml, scenario, wait_until, web


class Second(harness.Cluster):
    """A server beside the scenario's own, in a folder below the same work folder."""

    def __init__(self, first, bridge, cluster, service):
        super().__init__(first.binary, os.path.join(first.work, "second"), port=17443)
        os.makedirs(self.work, exist_ok=True)
        self.ranges = ["--bridge", bridge, "--cluster-cidr", cluster, "--service-cidr", service]

    def flags(self):
        return ["--data-dir", self.data, "--write-kubeconfig", self.kubeconfig, "--listen", self.listen, *self.ranges]

    def refused(self):
        """What the server says when it ends by itself."""
        done = self.run([self.binary, "server", *self.flags(), "--node-name", "second", "--node-ip", harness.NODE_IP])
        if done.code == 0:
            raise Failure(repr(done))
        return done.err


@scenario(clients=["knarr"])
def clusters_of_one_machine_keep_apart(kit):
    kit.only_own_engine("it has one CNI configuration, and so one cluster")
    for bridge, cluster, service, flag in (
            (harness.BRIDGE, "10.98.0.0/16", "10.99.0.0/16", "--bridge"),
            ("knarr-e2e1", harness.CLUSTER_CIDR, "10.99.0.0/16", "--cluster-cidr"),
            ("knarr-e2e1", "10.98.0.0/16", harness.SERVICE_CIDR, "--service-cidr")):
        said = Second(kit.cluster, bridge, cluster, service).refused()
        if flag not in said or kit.cluster.data not in said:
            raise Failure(f"{flag} and {kit.cluster.data} expected in\n{said}")

    kit.create(pod_yaml("first", web()))
    kit.ready("first")
    second = Second(kit.cluster, "knarr-e2e1", "10.98.0.0/16", "10.99.0.0/16")
    try:
        second.start()
        second.load(os.path.join(kit.cluster.work, "images", "hello.tar"))
        other = harness.Kit(second, "knarr", "default")
        other.create(pod_yaml("second", web()))
        addresses = [kit.ready("first")["status"]["podIP"], other.ready("second")["status"]["podIP"]]
        other.ok("expose pod second --port 80 --target-port 8080")
        service = other.object("service second")["spec"]["clusterIP"]

        def answers():
            return [fetch(f"{a}:8080", "/hostname")[1].strip() for a in addresses] == ["first", "second"]

        wait_until("both answer", answers)
        wait_until("the second's service answers", lambda: fetch(service, "/hostname")[1].strip() == "second")
    finally:
        second.stop()
        gone = second.uninstall()
    if gone.code != 0 or os.path.exists(second.data):
        raise Failure(repr(gone))
    # The first has lost nothing.
    if fetch(f"{addresses[0]}:8080", "/hostname")[1].strip() != "first":
        raise Failure("the first cluster's pod does not answer any more")
    tables = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout
    if "second" in tables or "knarr-services" not in tables:
        raise Failure(tables)
