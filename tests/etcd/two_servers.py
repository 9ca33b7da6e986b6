#!/usr/bin/env python3
"""Two knarr servers on one etcd, with kubectl against each; the one that leads is killed, and the other goes on.

    two_servers.py KNARR [KUBECTL]

Everything is below a temporary folder and in a network namespace of its own (so it needs root), and gone at the end.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ETCD = "http://127.0.0.1:2379"
LEASE_SECONDS = 15  # of the leader's lease; a candidate looks every two to four and a half seconds


class Failure(AssertionError):
    """What was seen is not what was expected."""


def wait_until(what, check, seconds):
    end = time.monotonic() + seconds
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > end:
            raise Failure(f"not within {seconds} s: {what}")
        time.sleep(0.1)


class Server:
    def __init__(self, name, work, knarr, kubectl, port):
        self.name, self.knarr, self.kubectl, self.port = name, knarr, kubectl, port
        self.data = os.path.join(work, name)
        self.log = os.path.join(work, name + ".log")
        self.process = None

    def start(self, *flags):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [self.knarr, "server", "--no-node", "--data-dir", self.data, "--listen", f"127.0.0.1:{self.port}",
                 "--node-name", self.name, "--node-ip", "127.0.0.1", "--write-kubeconfig", self.data + ".config",
                 "--etcd-servers", ETCD, *flags], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until(f"{self.name} answers", self.ready, 60)

    def ready(self):
        if self.process.poll() is not None:
            with open(self.log, encoding="utf-8") as log:
                raise Failure(f"{self.name} ended with {self.process.returncode}:\n{log.read()[-3000:]}")
        return os.path.exists(self.data + "/kubeconfig") and self.ctl("get", "--raw", "/readyz", check=False) == "ok"

    def ctl(self, *args, check=True, text=None):
        done = subprocess.run([self.kubectl, "--kubeconfig", self.data + "/kubeconfig", *args], capture_output=True,
                              text=True, input=text, timeout=60, check=False)
        if check and done.returncode != 0:
            raise Failure(f"{self.name}: kubectl {' '.join(args)}: {done.stderr}")
        return done.stdout if done.returncode == 0 else ""

    def end(self, number):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(30)


def apply(server, *objects):
    for item in objects:
        server.ctl("apply", "-f", "-", text=json.dumps(item))


def replica_set(name, replicas):
    labels = {"app": name}
    return {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": name},
            "spec": {"replicas": replicas, "selector": {"matchLabels": labels},
                     "template": {"metadata": {"labels": labels},
                                  "spec": {"containers": [{"name": "a", "image": "i:1"}]}}}}


def pods(server, name):
    return len(server.ctl("get", "pods", "-l", "app=" + name, "-o", "name").split())


def leader(server):
    lease = json.loads(server.ctl("-n", "kube-system", "get", "lease", "kube-controller-manager", "-o", "json"))
    return lease["spec"]["holderIdentity"].split("_")[0]


def check_both_see_the_same(one, two):
    apply(one, {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"k": "hidden"}})
    secret = json.loads(two.ctl("get", "secret", "s", "-o", "json"))
    if secret["data"]["k"] != "aGlkZGVu":
        raise Failure(f"the secret is {secret}")
    raw = subprocess.run(["etcdctl", "--endpoints", ETCD, "get", "--prefix", "/knarr/core/secrets/"], text=False,
                         capture_output=True, check=True, env={**os.environ, "ETCDCTL_API": "3"}).stdout
    if b"/knarr/core/secrets/default/s" not in raw or b"aGlkZGVu" in raw or b"hidden" in raw:
        raise Failure("the secret lies in etcd in the clear, or not at all")
    for i in range(20):
        writer, reader = (one, two) if i % 2 == 0 else (two, one)
        writer.ctl("create", "configmap", f"m{i}", "--from-literal=k=v")
        reader.ctl("label", "configmap", f"m{i}", "seen=yes")
        writer.ctl("delete", "configmap", f"m{i}")
        if reader.ctl("get", "configmap", f"m{i}", "--ignore-not-found"):
            raise Failure("a deleted object is still seen")
    # A service account's token of one is good for the other.
    token = one.ctl("create", "token", "default").strip()
    who = two.ctl("auth", "whoami", "--token", token, "-o", "json", check=False) or two.ctl(
        "--token", token, "get", "--raw", "/version")
    if not who:
        raise Failure("a token of one server is refused by the other")


def check_take_over(one, two, start):
    first = leader(one)
    leads, stands_by = (one, two) if first == one.name else (two, one)
    apply(stands_by, replica_set("a", 3))
    wait_until("three pods", lambda: pods(leads, "a") == 3, 20)
    leads.end(signal.SIGKILL)
    killed = time.monotonic()
    apply(stands_by, replica_set("b", 2))
    stands_by.ctl("delete", "pods", "-l", "app=a", "--wait=false", "--grace-period=0", "--force")
    wait_until("the other's controllers work", lambda: pods(stands_by, "b") == 2 and pods(stands_by, "a") == 3,
               LEASE_SECONDS + 10)
    took = time.monotonic() - killed
    if leader(stands_by) != stands_by.name:
        raise Failure("the lease names " + leader(stands_by))
    print(f"taken over {took:.1f} s after kill -9 (the lease is {LEASE_SECONDS} s)")
    # The killed one comes back and stands by; the leader goes politely, and is followed at once.
    start(leads)
    if leader(leads) != stands_by.name:
        raise Failure("a server that came back took the lease away")
    begin = time.monotonic()
    stands_by.end(signal.SIGTERM)
    wait_until("the lease is taken", lambda: leader(leads) == leads.name, LEASE_SECONDS)
    apply(leads, replica_set("c", 1))
    wait_until("a pod", lambda: pods(leads, "c") == 1, 20)
    print(f"taken over {time.monotonic() - begin:.1f} s after SIGTERM")


def run(work, knarr, kubectl):
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    with open(os.path.join(work, "etcd.log"), "wb") as log:
        etcd = subprocess.Popen(["etcd", "--data-dir", os.path.join(work, "etcd"), "--listen-client-urls", ETCD,
                                 "--advertise-client-urls", ETCD, "--log-level", "error"], stdout=log, stderr=log)
    one, two = Server("one", work, knarr, kubectl, 16443), Server("two", work, knarr, kubectl, 16444)
    try:
        one.start()
        # The cluster's keys are the same on each server.
        os.makedirs(two.data, 0o700)
        shutil.copytree(one.data + "/tls", two.data + "/tls")
        shutil.copy(one.data + "/encryption.yaml", two.data + "/encryption.yaml")
        two.start()
        check_both_see_the_same(one, two)
        check_take_over(one, two, lambda server: server.start())
    finally:
        for server in (one, two):
            server.end(signal.SIGKILL)
        etcd.kill()
        etcd.wait()


def main():
    if os.environ.get("KNARR_TWO_SERVERS_INSIDE") != "yes":
        environment = {**os.environ, "KNARR_TWO_SERVERS_INSIDE": "yes"}
        sys.exit(subprocess.run(["unshare", "-n", sys.executable, *sys.argv], env=environment, check=False).returncode)
    work = tempfile.mkdtemp(prefix="knarr-two-")
    try:
        run(work, os.path.abspath(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "kubectl")
    except Failure as failure:
        print(f"FAILED: {failure}")
        for name in ("one.log", "two.log"):
            if os.path.exists(os.path.join(work, name)):
                with open(os.path.join(work, name), encoding="utf-8", errors="replace") as log:
                    print(f"--- {name}\n{log.read()[-4000:]}")
        sys.exit(1)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print("two servers: ok")


if __name__ == "__main__":
    main()
