"""Resources of pods that run: resized in place, on real control groups; and generations."""

import glob
import http.client
import json
import os
import re

from conformance import covers
from harness import equal, Failure, pod_yaml, scenario, shell
from test_streams import start

V2 = os.path.exists("/sys/fs/cgroup/cgroup.controllers")
RESTART_MEMORY = "resizePolicy:\n- {resourceName: cpu, restartPolicy: NotRequired}\n" \
                 "- {resourceName: memory, restartPolicy: RestartContainer}"


def amounts(cpu=None, memory=None):
    return {name: value for name, value in (("cpu", cpu), ("memory", memory)) if value}


def container(name, requests, limits, more=""):
    resources = json.dumps({"requests": requests, "limits": limits})
    return shell(name, "exec sleep 100000", f"resources: {resources}\n{more}")


def same(name, cpu, memory, more=""):
    return container(name, amounts(cpu, memory), amounts(cpu, memory), more)


def milli(cpu):
    return int(cpu[:-1]) if cpu.endswith("m") else int(float(cpu) * 1000)


def size(memory):
    found = re.fullmatch(r"(\d+)(Ki|Mi|Gi)?", memory)
    return int(found.group(1)) << {None: 0, "Ki": 10, "Mi": 20, "Gi": 30}[found.group(2)]


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read().split()


def ident_of(status):
    """What the runtime calls a container: its id without the runtime's name."""
    return status["containerID"].partition("://")[2]


def group_values(uid, ident=""):
    """(cpu shares or None with v2, cpu quota, memory limit) of a pod's or a container's control group."""
    tail = f"/pod{uid}" + (f"/{ident}" if ident else "")

    def folder(controller):
        found = glob.glob(f"/sys/fs/cgroup/{'' if V2 else controller}/**{tail}", recursive=True)
        if not found:
            raise Failure(f"no control group {tail} of {controller}")
        return found[0]

    if V2:
        quota, period = read(folder("cpu") + "/cpu.max")
        memory = read(folder("memory") + "/memory.max")[0]
        return (None, None if quota == "max" else int(quota) * 100000 // int(period),
                None if memory == "max" else int(memory))
    quota = int(read(folder("cpu") + "/cpu.cfs_quota_us")[0])
    memory = int(read(folder("memory") + "/memory.limit_in_bytes")[0])
    return (int(read(folder("cpu") + "/cpu.shares")[0]), None if quota < 0 else quota,
            None if memory > 1 << 60 else memory)


def wanted_values(requests, limits):
    cpu = requests.get("cpu") or limits.get("cpu")
    return (None if V2 else max(2, milli(cpu) * 1024 // 1000) if cpu else 2,
            max(1000, milli(limits["cpu"]) * 100) if "cpu" in limits else None,
            size(limits["memory"]) if "memory" in limits else None)


def resize(k, pod, containers, **more):
    """Patches the resize subresource: containers by name to (requests, limits)."""
    spec = {"containers": [{"name": name, "resources": {"requests": requests, "limits": limits}}
                           for name, (requests, limits) in containers.items()]} | more
    return k.ok(["patch", "pod", pod, "--subresource=resize", "-p", json.dumps({"spec": spec})])


def conditions(pod):
    return {c["type"]: c for c in pod["status"].get("conditions", [])}


def resized(k, name, restarts=0):
    """Waits until what is asked for is in force; checks the status, and the control groups."""
    def check():
        pod = k.pod(name)
        there = conditions(pod)
        if pod["status"].get("observedGeneration") != pod["metadata"]["generation"]:
            return False
        if "PodResizePending" in there or "PodResizeInProgress" in there or there["Ready"]["status"] != "True":
            return False
        for spec, status in zip(pod["spec"]["containers"], pod["status"]["containerStatuses"]):
            if status["resources"] != spec["resources"] or status["restartCount"] != restarts:
                return False
            if status.get("allocatedResources", {}) != spec["resources"].get("requests", {}):
                return False
        return pod

    pod = k.wait(f"{name} is resized", check, 20)
    uid = pod["metadata"]["uid"]
    for spec, status in zip(pod["spec"]["containers"], pod["status"]["containerStatuses"]):
        asked = spec["resources"]
        equal(group_values(uid, ident_of(status)),
              wanted_values(asked.get("requests", {}), asked.get("limits", {})), f"container {spec['name']}")
    return pod


def pod_values(k, name):
    return group_values(k.pod(name)["metadata"]["uid"])


def three(c1, c2, c3):
    return "\n".join(same(name, *pair) for name, pair in zip(("c1", "c2", "c3"), (c1, c2, c3)))


def try_three(k, before, after):
    k.create(pod_yaml("p", three(*before)))
    k.ready("p")
    ids = [status["containerID"] for status in resized(k, "p")["status"]["containerStatuses"]]
    changed = {name: (amounts(*pair), amounts(*pair)) for name, pair in zip(("c1", "c2", "c3"), after)}
    resize(k, "p", changed)
    pod = resized(k, "p")
    equal([status["containerID"] for status in pod["status"]["containerStatuses"]], ids)
    cpu = sum(milli(pair[0]) for pair in after)
    memory = sum(size(pair[1]) for pair in after)
    equal(pod_values(k, "p"), wanted_values(amounts(f"{cpu}m"), amounts(f"{cpu}m", str(memory))), "the pod")
    k.event("ResizeStarted Pod resize started: {\"containers\":")
    k.event("ResizeCompleted Pod resize completed: {\"containers\":")
    # And back.
    resize(k, "p", {name: (amounts(*pair), amounts(*pair)) for name, pair in zip(("c1", "c2", "c3"), before)})
    resized(k, "p")


@scenario(clients=["kubectl"])
@covers("[sig-node] Pod InPlace Resize Container guaranteed pods with multiple containers 3 containers - "
        "increase cpu & mem on c1, c2, decrease cpu & mem on c3 - net increase")
def guaranteed_pods_three_containers_net_increase(k):
    try_three(k, [("30m", "30Mi"), ("30m", "30Mi"), ("30m", "40Mi")], [("50m", "50Mi"), ("50m", "50Mi"), ("20m", "30Mi")])


@scenario(clients=["kubectl"])
@covers("[sig-node] Pod InPlace Resize Container guaranteed pods with multiple containers 3 containers - "
        "increase cpu & mem on c1, decrease cpu & mem on c2, c3 - net decrease")
def guaranteed_pods_three_containers_net_decrease(k):
    try_three(k, [("30m", "30Mi"), ("50m", "50Mi"), ("50m", "50Mi")], [("40m", "40Mi"), ("30m", "30Mi"), ("30m", "30Mi")])


@scenario(clients=["kubectl"])
@covers("[sig-node] Pod InPlace Resize Container guaranteed pods with multiple containers 3 containers - "
        "increase: CPU (c1,c3), memory (c2, c3) ; decrease: CPU (c2)")
def guaranteed_pods_three_containers_each_its_own(k):
    try_three(k, [("30m", "30Mi"), ("30m", "30Mi"), ("30m", "30Mi")], [("50m", "30Mi"), ("20m", "50Mi"), ("40m", "40Mi")])


@scenario(clients=["kubectl"])
@covers("[sig-node] Pod InPlace Resize Container burstable pods - extended 6 containers - various operations "
        "performed (including adding limits and requests)")
def burstable_pods_six_containers(k):
    before = {"c1": (amounts("20m", "20Mi"), {}),
              "c2": (amounts("20m", "20Mi"), amounts("30m", "30Mi")),
              "c3": ({}, {}),
              "c4": (amounts("20m"), {}),
              "c5": (amounts(None, "20Mi"), amounts(None, "30Mi")),
              "c6": (amounts("20m", "20Mi"), amounts("40m", "40Mi"))}
    after = {"c1": (amounts("20m", "20Mi"), amounts("30m", "30Mi")),
             "c2": (amounts("30m", "20Mi"), amounts("40m", "40Mi")),
             "c3": (amounts("20m", "20Mi"), {}),
             "c4": (amounts("30m"), amounts("50m")),
             "c5": (amounts(None, "20Mi"), amounts(None, "40Mi")),
             "c6": (amounts("10m", "10Mi"), amounts("20m", "30Mi"))}
    k.create(pod_yaml("p", "\n".join(container(name, *pair) for name, pair in before.items())))
    k.ready("p")
    resized(k, "p")
    resize(k, "p", after)
    resized(k, "p")
    equal(k.pod("p")["status"]["qosClass"], "Burstable")


@scenario(clients=["kubectl"])
@covers("[sig-node] Pod InPlace Resize Container burstable pods - extended resize with equivalents")
def burstable_pods_resize_with_equivalents(k):
    before = {"c1": (amounts("2m"), amounts("10m")), "c2": (amounts("20m", "20Mi"), amounts("50m", "30Mi"))}
    # As many shares and as long a quota: the least there are.
    after = {"c1": (amounts("1m"), amounts("5m")), "c2": (amounts("20m", "20480Ki"), amounts("50m", "30Mi"))}
    k.create(pod_yaml("p", "\n".join(container(name, *given) for name, given in before.items())))
    k.ready("p")
    resized(k, "p")
    for given in (after, before):
        resize(k, "p", given)
        resized(k, "p")


@scenario(clients=["kubectl"])
@covers("[sig-node] Pod InPlace Resize Container resize pod via the replace endpoint")
def resize_pod_via_the_replace_endpoint(k):
    k.create(pod_yaml("p", same("c", "30m", "30Mi")))
    k.ready("p")
    path = f"/api/v1/namespaces/{k.namespace}/pods/p/resize"
    now = json.loads(k.ok(f"get --raw {path}").out)
    now["spec"]["containers"][0]["resources"] = {"requests": amounts("50m", "50Mi"), "limits": amounts("50m", "50Mi")}
    k.ok(f"replace --raw {path} -f -", json.dumps(now))
    equal(resized(k, "p")["spec"]["containers"][0]["resources"]["limits"], amounts("50m", "50Mi"))


@scenario(clients=["kubectl"])
def a_policy_may_ask_for_a_restart(k):
    k.create(pod_yaml("p", same("c", "30m", "30Mi", RESTART_MEMORY)))
    k.ready("p")
    resize(k, "p", {"c": (amounts("50m", "30Mi"), amounts("50m", "30Mi"))})
    resized(k, "p")
    resize(k, "p", {"c": (amounts("50m", "50Mi"), amounts("50m", "50Mi"))})
    resized(k, "p", restarts=1)
    k.event("Killing Container c resize requires restart")


@scenario(clients=["kubectl"])
def what_does_not_fit_is_deferred_until_it_does(k):
    node = k.items("nodes")[0]["status"]["allocatable"]
    cpus = milli(node["cpu"])
    used = 0
    for pod in k.object("pods --all-namespaces")["items"]:
        if pod["status"].get("phase") in ("Succeeded", "Failed"):
            continue
        used += sum(milli(c.get("resources", {}).get("requests", {}).get("cpu", "0")) for c in pod["spec"]["containers"])
    large = cpus - used - 300
    k.create(pod_yaml("large", container("c", amounts(f"{large}m"), {})))
    k.create(pod_yaml("small", container("c", amounts("100m"), {})))
    k.ready("large")
    k.ready("small")
    resize(k, "small", {"c": (amounts("600m"), {})})
    k.wait("it is deferred", lambda: conditions(k.pod("small")).get("PodResizePending", {}).get("reason") == "Deferred")
    message = conditions(k.pod("small"))["PodResizePending"]["message"]
    if not re.fullmatch(rf"Node didn't have enough resource: cpu, requested: 600, used: \d+, capacity: {cpus}", message):
        raise Failure(message)
    equal(k.container("small")["resources"]["requests"]["cpu"], "100m")
    k.event("ResizeDeferred Pod resize OutOfcpu")
    # The server's death changes nothing in that.
    k.cluster.kill()
    k.cluster.start()
    equal(conditions(k.pod("small"))["PodResizePending"]["reason"], "Deferred")
    k.ok("delete pod large")
    resized(k, "small")
    k.fails(["patch", "pod", "small", "--subresource=resize", "-p", json.dumps(
        {"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "1000"}}}]}})]).has(
            "node didn't have enough allocatable resources: cpu, requested: 1000000, allocatable")


@scenario(clients=["kubectl"])
def memory_in_use_is_not_taken(k):
    fill = "head -c 60m /dev/zero > /dev/shm/data || exit 1\ntouch /ready\nexec sleep 100000"
    resources = json.dumps({"requests": amounts("50m", "100Mi"), "limits": amounts("50m", "100Mi")})
    k.create(pod_yaml("p", shell("c", fill, f"resources: {resources}\nreadinessProbe:\n  periodSeconds: 1\n  exec:\n"
                                 "    command: [test, -e, /ready]")))
    k.ready("p")
    resize(k, "p", {"c": (amounts("50m", "50Mi"), amounts("50m", "50Mi"))})
    k.wait("it is refused", lambda: conditions(k.pod("p")).get("PodResizeInProgress", {}).get("reason") == "Error")
    message = conditions(k.pod("p"))["PodResizeInProgress"]["message"]
    if "cannot decrease memory limits: [attempting to set pod memory limit (52428800) below current usage" not in message:
        raise Failure(message)
    k.event("ResizeError Pod resize error")
    equal(pod_values(k, "p")[2], size("100Mi"))
    k.ok("exec p -- rm /dev/shm/data")
    resized(k, "p")


@scenario(clients=["kubectl"])
def the_budget_of_a_pod_is_resized(k):
    def budget(cpu, memory):
        return {"requests": amounts("50m", "50Mi"), "limits": amounts(cpu, memory)}

    spec = "resources: " + json.dumps(budget("200m", "80Mi"))
    k.create(pod_yaml("p", shell("a", "exec sleep 100000") + "\n" + container("b", {}, amounts("50m", "50Mi")), spec))
    k.ready("p")
    equal(pod_values(k, "p")[1:], (20000, size("80Mi")))
    k.ok(["patch", "pod", "p", "--subresource=resize", "-p", json.dumps({"spec": {"resources": budget("300m", "90Mi")}})])
    k.wait("it is done", lambda: pod_values(k, "p")[1:] == (30000, size("90Mi")))
    k.wait("it is told", lambda: k.pod("p")["status"]["resources"]["limits"] == amounts("300m", "90Mi"))
    pod = k.pod("p")
    equal(pod["status"]["allocatedResources"], amounts("50m", "50Mi"))
    ident = ident_of(k.container("p", "a"))
    equal(group_values(pod["metadata"]["uid"], ident)[1:], (30000, size("90Mi")))


# ---- Generations ----


@scenario(clients=["kubectl"])
@covers("[sig-node] Pods Extended (pod generation) Pod Generation pod generation should start at 1 and "
        "increment per update")
def pod_generation_starts_at_one_and_counts_updates(k):
    k.create(pod_yaml("p", same("c", "20m", "20Mi"), "tolerations:\n- {key: a, operator: Exists}"))
    equal(k.ready("p")["metadata"]["generation"], 1)
    steps = [
        (["patch", "pod", "p", "-p", json.dumps({"spec": {"activeDeadlineSeconds": 5000}})], 2),
        (["patch", "pod", "p", "--type=json", "-p", json.dumps(
            [{"op": "add", "path": "/spec/tolerations/-", "value": {"key": "b", "operator": "Exists"}}])], 3),
        (["label", "pod", "p", "more=label"], 3),
        (["annotate", "pod", "p", "more=annotation"], 3),
        (["patch", "pod", "p", "--subresource=resize", "-p", json.dumps({"spec": {"containers": [{
            "name": "c", "resources": {"requests": amounts("30m"), "limits": amounts("30m")}}]}})], 4),
    ]
    for words, generation in steps:
        k.ok(words)
        equal(k.pod("p")["metadata"]["generation"], generation, " ".join(words))
        k.wait(f"{generation} is observed", lambda: k.pod("p")["status"]["observedGeneration"] == generation)  # pylint: disable=cell-var-from-loop
        for condition in k.pod("p")["status"]["conditions"]:
            equal(condition["observedGeneration"], generation, condition["type"])


@scenario(clients=["kubectl"])
@covers("[sig-node] Pods Extended (pod generation) Pod Generation custom-set generation on new pods and "
        "graceful delete")
def custom_set_generation_on_new_pods_and_graceful_delete(k):
    text = pod_yaml("p", shell("c", "trap '' TERM; while true; do sleep 1; done"))
    text = text.replace("metadata:\n", "metadata:\n  generation: 100\n", 1).replace(
        "terminationGracePeriodSeconds: 1", "terminationGracePeriodSeconds: 8")
    k.create(text)
    equal(k.ready("p")["metadata"]["generation"], 1)
    k.ok("delete pod p --wait=false")
    pod = k.pod("p")
    equal((pod["metadata"]["generation"], "deletionTimestamp" in pod["metadata"]), (2, True))
    k.wait("it is observed", lambda: k.pod("p")["status"]["observedGeneration"] == 2, 6)
    k.gone("pod p")


@scenario(clients=["kubectl"])
@covers("[sig-node] Pods Extended (pod generation) Pod Generation issue 500 podspec updates and verify "
        "generation and observedGeneration eventually converge")
def five_hundred_updates_of_a_pod(k):
    k.create(pod_yaml("p", shell("c", "exec sleep 100000")))
    k.ready("p")
    # The proxy's own namespace flag is of no use to it; what is asked for says it all.
    proxy = start(k, ["proxy", "--port=0"])
    try:
        port = int(re.search(r":(\d+)", proxy.stdout.readline()).group(1))
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        for number in range(500):
            connection.request("PATCH", f"/api/v1/namespaces/{k.namespace}/pods/p",
                               json.dumps({"spec": {"activeDeadlineSeconds": 10000 - number}}),
                               {"Content-Type": "application/merge-patch+json"})
            answer = connection.getresponse()
            equal(json.loads(answer.read())["metadata"]["generation"], number + 2)
        connection.close()
    finally:
        proxy.terminate()
        proxy.wait()
    k.wait("it is observed", lambda: k.pod("p")["status"]["observedGeneration"] == 501)
