"""Pods that stand in files of the node, and what the API shows of them."""

import json
import os
import signal

from harness import NODE, Failure, equal, pod_yaml, scenario, shell, web


class Manifests:
    """The folder's files of one scenario; they go with it."""

    def __init__(self, k):
        self.k, self.made = k, set()

    def __enter__(self):
        return self

    def path(self, name):
        return os.path.join(self.k.cluster.manifests, f"{self.k.namespace}-{name}.yaml")

    def write(self, name, text):
        with open(self.path(name) + ".new", "w", encoding="utf-8") as file:
            file.write(text.replace("metadata:\n", f"metadata:\n  namespace: {self.k.namespace}\n", 1))
        os.rename(self.path(name) + ".new", self.path(name))
        self.made.add(name)

    def remove(self, name):
        os.remove(self.path(name))
        self.made.discard(name)

    def __exit__(self, *_):
        for name in list(self.made):
            self.remove(name)
        self.k.wait("no static pod is left", lambda: not [
            pod for pod in self.k.items("pods") if "kubernetes.io/config.mirror" in pod["metadata"]["annotations"]])


def mirror(k, name):
    return k.pod(f"{name}-{NODE}")


@scenario(clients=["kubectl"])
def a_static_pod_runs_and_is_mirrored(k):
    with Manifests(k) as files:
        files.write("web", pod_yaml("web", web(), "priorityClassName: system-node-critical"))
        k.ready(f"web-{NODE}")
        pod = mirror(k, "web")
        notes = pod["metadata"]["annotations"]
        equal(notes["kubernetes.io/config.source"], "file")
        equal(notes["kubernetes.io/config.mirror"], notes["kubernetes.io/config.hash"])
        owner = pod["metadata"]["ownerReferences"][0]
        equal((owner["kind"], owner["name"], owner["controller"]), ("Node", NODE, True))
        equal(pod["spec"]["tolerations"], [{"effect": "NoExecute", "operator": "Exists"}])
        equal(pod["spec"]["priority"], 2000001000)
        k.wait("its log", lambda: k.ok(f"logs web-{NODE}").out)
        k.ok(f"describe pod web-{NODE}").has("Started +kubelet|Started .*kubelet", "Container started")
        # Its mirror's end is not its own.
        first = k.container(f"web-{NODE}")["containerID"]
        uid = pod["metadata"]["uid"]
        k.ok(f"delete pod web-{NODE} --wait=false")
        k.wait("it shows again", lambda: mirror(k, "web")["metadata"]["uid"] != uid)
        k.ready(f"web-{NODE}")
        equal(k.container(f"web-{NODE}")["containerID"], first)
        equal(k.container(f"web-{NODE}")["restartCount"], 0)
        files.remove("web")
        k.gone(f"pod web-{NODE}")


@scenario(clients=["kubectl"])
def a_changed_file_is_another_pod(k):
    with Manifests(k) as files:
        files.write("p", pod_yaml("p", shell("c", "echo one; exec sleep 100000")))
        k.ready(f"p-{NODE}")
        before = mirror(k, "p")
        files.write("p", pod_yaml("p", shell("c", "echo two; exec sleep 100000")))
        k.wait("the other runs", lambda: k.any(f"logs p-{NODE}").out == "two\n")
        k.ready(f"p-{NODE}")
        after = mirror(k, "p")
        for name in ("uid", "annotations"):
            if before["metadata"][name] == after["metadata"][name]:
                raise Failure(f"{name} is the same: {after['metadata'][name]}")
        equal(k.container(f"p-{NODE}")["restartCount"], 0)


@scenario(clients=["kubectl"])
def static_pods_survive_the_server(k):
    with Manifests(k) as files:
        files.write("stays", pod_yaml("stays", shell("c", "exec sleep 100000")))
        files.write("goes", pod_yaml("goes", shell("c", "exec sleep 100000")))
        k.ready(f"stays-{NODE}")
        k.ready(f"goes-{NODE}")
        stays = k.container(f"stays-{NODE}")["containerID"]
        uid = mirror(k, "stays")["metadata"]["uid"]
        k.cluster.process.send_signal(signal.SIGKILL)
        k.cluster.process.wait()
        files.remove("goes")
        files.write("late", pod_yaml("late", shell("c", "exec sleep 100000")))
        k.cluster.start()
        k.ready(f"late-{NODE}")
        k.gone(f"pod goes-{NODE}")
        equal(k.container(f"stays-{NODE}")["containerID"], stays)
        equal(mirror(k, "stays")["metadata"]["uid"], uid)
        equal(k.container(f"stays-{NODE}")["restartCount"], 0)


@scenario(clients=["kubectl"])
def hostile_manifests_are_refused(k):
    with Manifests(k) as files:
        files.write("bad", "apiVersion: v1\nkind: Pod\nmetadata:\n  name: bad\nspec: {containers: 7}\n")
        files.write("refers", pod_yaml("refers", web(), "serviceAccountName: default"))
        fifo = files.path("fifo")
        os.mkfifo(fifo)
        try:
            files.write("good", pod_yaml("good", web()))
            k.ready(f"good-{NODE}")

            def told(pattern):
                events = json.loads(k.ok("get events -n default -o json").out)["items"]
                return any(pattern in event["message"] for event in events)

            k.wait("the reference is told of", lambda: told("static pods may not reference serviceaccounts"))
            k.wait("the fifo is told of", lambda: told("it is neither a file nor a folder"))
            k.wait("the other is told of", lambda: told(f"{files.path('bad')} is refused"))
        finally:
            os.remove(fifo)
