"""Containers that are added to running pods, and what `kubectl debug` makes of them."""

import json
import os
import re
import subprocess

from harness import equal, Failure, pod_yaml, scenario, shell, web
from test_streams import old_ways, start

LOOP = "while true; do echo polo; sleep 1; done"


def debuggers(k, pod):
    return {status["name"]: status for status in k.pod(pod)["status"].get("ephemeralContainerStatuses", [])}


def runs(k, pod, name):
    k.wait(f"{name} runs", lambda: "running" in debuggers(k, pod).get(name, {}).get("state", {}))
    return debuggers(k, pod)[name]


def add(k, pod, containers):
    """By the subresource, as a client library does it."""
    path = f"/api/v1/namespaces/{k.namespace}/pods/{pod}/ephemeralcontainers"
    now = json.loads(k.ok(f"get --raw {path}").out)
    now["spec"].setdefault("ephemeralContainers", []).extend(containers)
    k.ok(f"replace --raw {path} -f -", json.dumps(now))


def debugger(name, **more):
    return {"name": name, "image": "busybox", "imagePullPolicy": "Never", "command": ["sh", "-c", LOOP]} | more


@scenario(clients=["kubectl"])
def will_start_an_ephemeral_container_in_an_existing_pod(k):
    """[sig-node] Ephemeral Containers [NodeConformance] will start an ephemeral container in an existing pod"""
    k.create(pod_yaml("target", shell("c", "exec sleep 10000")))
    equal(k.ready("target")["metadata"]["generation"], 1)
    add(k, "target", [debugger("debugger", stdin=True, tty=True)])
    status = runs(k, "target", "debugger")
    equal(k.pod("target")["metadata"]["generation"], 2)
    equal((status["ready"], status["restartCount"], "started" in status), (False, 0, False))
    equal(k.ok("exec target -c debugger -- /bin/echo marco").out, "marco\n")
    k.wait("its log", lambda: "polo" in k.ok("logs target -c debugger").out)
    k.wait("generation observed", lambda: k.pod("target")["status"]["observedGeneration"] == 2)
    k.event("Created Container created")


@scenario(clients=["kubectl"])
def should_update_the_ephemeral_containers_in_an_existing_pod(k):
    """[sig-node] Ephemeral Containers [NodeConformance] should update the ephemeral containers in an existing pod"""
    k.create(pod_yaml("target", shell("c", "exec sleep 10000")))
    k.ready("target")
    add(k, "target", [debugger("debugger", stdin=True, tty=True)])
    runs(k, "target", "debugger")
    equal(len(k.pod("target")["spec"]["ephemeralContainers"]), 1)
    add(k, "target", [debugger("debugger2")])
    runs(k, "target", "debugger2")
    equal([c["name"] for c in k.pod("target")["spec"]["ephemeralContainers"]], ["debugger", "debugger2"])
    equal(k.pod("target")["metadata"]["generation"], 3)
    path = f"/api/v1/namespaces/{k.namespace}/pods/target/ephemeralcontainers"
    now = json.loads(k.ok(f"get --raw {path}").out)
    now["spec"]["ephemeralContainers"].pop()
    k.fails(f"replace --raw {path} -f -", json.dumps(now)).has("existing ephemeral containers .* may not be removed")


@scenario(clients=["kubectl"])
def a_debugger_that_ends_is_not_started_again(k):
    k.create(pod_yaml("target", shell("c", "exec sleep 10000")))
    k.ready("target")
    add(k, "target", [debugger("short", command=["sh", "-c", "echo once; exit 3"])])
    k.wait("it has ended", lambda: "terminated" in debuggers(k, "target").get("short", {}).get("state", {}))
    end = debuggers(k, "target")["short"]["state"]["terminated"]
    equal((end["exitCode"], end["reason"]), (3, "Error"))
    equal(k.ok("logs target -c short").out, "once\n")
    own = [k.cluster.binary, "kubectl", "--namespace", k.namespace, "logs", "target"]
    equal(k.cluster.run([*own, "-c", "short"]).out, "once\n")
    equal(k.cluster.run([*own, "--all-containers"]).out, "once\n")
    # Another one makes the node look at the pod again.
    add(k, "target", [debugger("long")])
    runs(k, "target", "long")
    equal(k.ok("logs target -c short").out, "once\n")
    equal(debuggers(k, "target")["short"]["restartCount"], 0)
    k.ready("target")
    k.ok("delete pod target --wait=false")
    k.gone("pod target")


@scenario(clients=["kubectl"])
def a_debugger_sees_the_processes_of_its_target(k):
    k.create(pod_yaml("two", shell("a", "exec sleep 11111") + "\n" + shell("b", "trap 'exit 0' TERM; sleep 22222 & wait")))
    k.ready("two")
    add(k, "two", [debugger("look", targetContainerName="b"), debugger("alone")])
    runs(k, "two", "look")
    runs(k, "two", "alone")
    k.ok("exec two -c look -- ps").has("sleep 22222").lacks("sleep 11111")
    k.ok("exec two -c alone -- ps").lacks("sleep 22222")
    # The target's files are seen through its process, and both are in the same network.
    k.ok("exec two -c look -- cat /proc/1/root/etc/hostname").has("^two$")
    # The target's end is the end of its processes' namespace.
    k.ok("exec two -c look -- kill 1")
    k.wait("it went with its target", lambda: "terminated" in debuggers(k, "two")["look"]["state"])
    equal(debuggers(k, "two")["look"]["state"]["terminated"]["exitCode"], 137)
    k.wait("the target is back", lambda: k.container("two", "b")["restartCount"] == 1)


def debug_ways():
    return [("kubectl", "kubectl")] + [(name, program) for name, program, more in old_ways() if not more]


def talk(k, words, program):
    """What a command prints that begins with `read`: what it printed before kubectl has attached would not be shown."""
    process = start(k, words, program, stdin=subprocess.PIPE)
    # As with other runtimes, who ends the input lets go of the output.
    process.stdin.write("go\n")
    process.stdin.flush()
    out = process.stdout.read()
    if process.wait(20) != 0:
        raise Failure(f"{words}: {out}{process.stderr.read()}")
    process.stdin.close()
    return out


@scenario(clients=["kubectl"])
def kubectl_debug_of_every_version(k):
    k.create(pod_yaml("web", web()))
    k.ready("web")
    for number, (name, program) in enumerate(debug_ways()):
        words = ["debug", "web", "--image=busybox", "--image-pull-policy=Never", f"--container=d{number}",
                 "--target=web", "-i", "--", "sh", "-c", "read line; echo got $line; ps"]
        out = talk(k, words, [program])
        if "got go" not in out or "/hello" not in out:
            raise Failure(f"{name}: {out}")
        k.wait("it has ended", lambda: "terminated" in debuggers(k, "web")[f"d{number}"]["state"])  # pylint: disable=cell-var-from-loop
    equal(k.container("web")["restartCount"], 0)


@scenario(clients=["kubectl"])
def kubectl_debug_with_a_terminal(k):
    k.create(pod_yaml("web", web()))
    k.ready("web")
    command = (f"kubectl --namespace {k.namespace} debug web -it --image=busybox --image-pull-policy=Never "
               "--container=tty --target=web -- sh -c 'test -t 0 && test -t 1 && echo terminal; stty size; exit 7'")
    done = k.cluster.run(["script", "-qec", command, "/dev/null"])
    done.has("terminal")
    k.wait("it has ended", lambda: "terminated" in debuggers(k, "web")["tty"]["state"])
    equal(debuggers(k, "web")["tty"]["state"]["terminated"]["exitCode"], 7)


@scenario(clients=["kubectl"])
def kubectl_debug_copies_a_pod(k):
    k.create(pod_yaml("broken", shell("c", "exit 1")))
    k.wait("it fails", lambda: k.container("broken")["restartCount"] > 0)
    k.ok("debug broken --copy-to=copy --container=c -- sleep 1000")
    k.ready("copy")
    equal(k.container("copy")["restartCount"], 0)
    k.ok("exec copy -- ps").has("sleep 1000")
    k.ok("debug broken --copy-to=shared --share-processes --image=busybox --image-pull-policy=Never "
         "--container=look -- sleep 2000")
    k.wait("the added one runs", lambda: "running" in k.container("shared", "look")["state"])
    k.ok("exec shared -c look -- ps").has("sleep 2000")


@scenario(clients=["kubectl"])
def kubectl_debug_looks_at_the_node(k):
    node = k.items("nodes")[0]["metadata"]["name"]
    marker = os.path.join(k.cluster.work, "seen-from-a-pod")
    with open(marker, "w", encoding="utf-8") as file:
        file.write("the node's own file\n")
    for profile in ("general", "sysadmin"):
        out = talk(k, ["debug", f"node/{node}", "--image=busybox", "--image-pull-policy=Never", f"--profile={profile}",
                       "-i", "--", "sh", "-c", f"read go; cat /host{marker}; ps; ip -4 addr"], ["kubectl"])
        for pattern in ("the node's own file", "knarr.* server", "192.0.2.10"):
            if not re.search(pattern, out):
                raise Failure(f"no match for {pattern} in {out}")
    pods = [pod["metadata"]["name"] for pod in k.items("pods") if pod["metadata"]["name"].startswith("node-debugger")]
    equal(len(pods), 2)
    for name in pods:
        k.wait("it is done", lambda: k.pod(name)["status"]["phase"] == "Succeeded")  # pylint: disable=cell-var-from-loop
    spec = k.pod(pods[0])["spec"]
    equal((spec["hostNetwork"], spec["hostPID"], spec["hostIPC"]), (True, True, True))
