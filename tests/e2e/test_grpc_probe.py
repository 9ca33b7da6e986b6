"""Probes by gRPC, against a server that speaks its health protocol: etcd."""

import shutil
import socket
import subprocess
import tempfile

from harness import NODE_IP, Skip, equal, pod_yaml, scenario, shell


def free_ports(count):
    taken = [socket.socket() for _ in range(count)]
    for one in taken:
        one.bind((NODE_IP, 0))
    ports = [one.getsockname()[1] for one in taken]
    for one in taken:
        one.close()
    return ports


def probed(port, more=""):
    probe = "{periodSeconds: 1, failureThreshold: 1, grpc: {port: %d%s}}" % (port, more)
    return shell("c", "exec sleep 100000", f"readinessProbe: {probe}\nlivenessProbe: {probe}")


@scenario(clients=["kubectl"])
def grpc_probes(k):
    if shutil.which("etcd") is None:
        raise Skip("no etcd")
    client, peer = free_ports(2)
    with tempfile.TemporaryDirectory(prefix="knarr-e2e-etcd-") as data:
        urls = [f"--listen-client-urls=http://{NODE_IP}:{client}", f"--advertise-client-urls=http://{NODE_IP}:{client}",
                f"--listen-peer-urls=http://{NODE_IP}:{peer}", f"--initial-advertise-peer-urls=http://{NODE_IP}:{peer}",
                f"--initial-cluster=default=http://{NODE_IP}:{peer}"]
        etcd = subprocess.Popen(["etcd", f"--data-dir={data}", *urls], stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL)
        try:
            k.create(pod_yaml("p", probed(client), "hostNetwork: true"))
            k.ready("p")
            equal(k.container("p")["restartCount"], 0)
            k.create(pod_yaml("other", probed(client, ", service: nothing"), "hostNetwork: true"))
            k.event(r"Unhealthy (Readiness|Liveness) probe failed: (service unhealthy|error: health rpc probe failed)")
        finally:
            etcd.kill()
            etcd.wait()
        k.wait("it is restarted", lambda: k.container("p")["restartCount"] > 0)
        k.event(r'Unhealthy Liveness probe failed: (error|timeout): failed to connect service (at )?"192.0.2.10:')
