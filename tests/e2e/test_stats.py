"""What the node tells of itself and its pods on the kubelet's paths, through the API server's proxy."""

import json
import re

from harness import Failure, NODE, equal, pod_yaml, scenario, shell, web

PROXY = f"/api/v1/nodes/{NODE}/proxy"


def samples(text):
    """{name: [(labels, value)]}; every line must be of the text format."""
    out = {}
    for line in text.splitlines():
        if line.startswith("# HELP ") or line.startswith("# TYPE "):
            continue
        found = re.fullmatch(r'([a-z_]+)(?:\{(.*)\})? ([-+0-9.einfEIN]+)(?: \d+)?', line)
        if not found:
            raise Failure(f"no sample: {line!r}")
        labels = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', found[2] or ""))
        out.setdefault(found[1], []).append((labels, float(found[3])))
    return out


def value(metrics, name, **labels):
    found = [v for have, v in metrics.get(name, []) if labels.items() <= have.items()]
    equal(len(found), 1, f"{name}{labels}")
    return found[0]


@scenario(clients=["kubectl"])
def what_pods_use_is_told(k):
    script = ("dd if=/dev/zero of=/data/file bs=1M count=3; dd if=/dev/zero of=/file bs=1M count=2\n"
              "while :; do :; done")
    more = ("volumeMounts:\n- {name: data, mountPath: /data}\n"
            "readinessProbe:\n  exec: {command: [test, -e, /file]}\n  periodSeconds: 1\n"
            "resources:\n  limits: {cpu: 50m, memory: 64Mi}")
    k.create(pod_yaml("busy", shell("c", script, more), "volumes:\n- name: data\n  emptyDir: {}"))
    k.create(pod_yaml("far", web(), "hostNetwork: true"))
    k.ready("busy")
    k.ready("far")

    def measured():
        """The summary, once what the container wrote is told: containerd measures every ten seconds, the node asks
        every minute."""
        now = json.loads(k.ok(f"get --raw {PROXY}/stats/summary").out)
        ours = [p for p in now["pods"] if p["podRef"] == p["podRef"] | {"namespace": k.namespace, "name": "busy"}]
        return now if ours and ours[0]["containers"][0]["rootfs"]["usedBytes"] > 0 else None

    summary = k.wait("the container is measured", measured, 90)
    node = summary["node"]
    equal(node["nodeName"], NODE)
    for what in (node["cpu"]["usageNanoCores"], node["memory"]["workingSetBytes"], node["memory"]["availableBytes"],
                 node["fs"]["capacityBytes"], node["runtime"]["imageFs"]["usedBytes"], node["rlimit"]["curproc"]):
        if what <= 0:
            raise Failure(json.dumps(node, indent=1))
    equal(sorted(s["name"] for s in node["systemContainers"]), ["kubelet", "pods"])
    pods = {p["podRef"]["name"]: p for p in summary["pods"] if p["podRef"]["namespace"] == k.namespace}
    busy = pods["busy"]
    container = busy["containers"][0]
    # A twentieth of a processor, as its quota has it; other programs may take their share of that.
    if not 0 < container["cpu"]["usageNanoCores"] < 150_000_000 or container["memory"]["usageBytes"] > 64 << 20:
        raise Failure(json.dumps(busy, indent=1))
    used = {"data": 3 << 20, "rootfs": 2 << 20, "all": 5 << 20}
    volume = next(v for v in busy["volume"] if v["name"] == "data")
    for what, got in (("data", volume["usedBytes"]), ("rootfs", container["rootfs"]["usedBytes"]),
                      ("all", busy["ephemeral-storage"]["usedBytes"])):
        if not used[what] <= got < used[what] + (1 << 20):
            raise Failure(f"{what}: {got}\n{json.dumps(busy, indent=1)}")
    if busy["network"]["rxBytes"] <= 0 or busy["process_stats"]["process_count"] != 1 or "network" in pods["far"]:
        raise Failure(json.dumps(pods, indent=1))

    at = {"namespace": k.namespace, "pod": "busy"}
    resource = samples(k.ok(f"get --raw {PROXY}/metrics/resource").out)
    for name in ("container_cpu_usage_seconds_total", "container_memory_working_set_bytes",
                 "container_start_time_seconds"):
        if value(resource, name, container="c", **at) <= 0:
            raise Failure(name)
    equal(value(resource, "resource_scrape_error"), 0)
    cadvisor = samples(k.ok(f"get --raw {PROXY}/metrics/cadvisor").out)
    inner = {"container": "c", "image": "busybox", **at}
    equal(value(cadvisor, "container_spec_memory_limit_bytes", **inner), 64 << 20)
    equal(value(cadvisor, "container_spec_cpu_quota", **inner), 5000)
    for name in ("container_cpu_cfs_throttled_periods_total", "container_memory_usage_bytes", "container_last_seen"):
        if value(cadvisor, name, **inner) <= 0:
            raise Failure(name)
    if value(cadvisor, "container_network_receive_bytes_total", interface="eth0", **at) <= 0:
        raise Failure("nothing received")
    probes = samples(k.ok(f"get --raw {PROXY}/metrics/probes").out)
    if value(probes, "prober_probe_total", result="successful", probe_type="Readiness", **at) < 1:
        raise Failure("no probe counted")
    equal(value(samples(k.ok(f"get --raw {PROXY}/metrics").out), "kubelet_node_name", node=NODE), 1)
    equal(json.loads(k.ok(f"get --raw {PROXY}/configz").out)["kubeletconfig"]["evictionHard"]["memory.available"],
          "100Mi")
    running = json.loads(k.ok(f"get --raw {PROXY}/runningpods/").out)["items"]
    if not any(p["metadata"]["name"] == "busy" and p["metadata"]["namespace"] == k.namespace for p in running):
        raise Failure(json.dumps(running))
    # All of that is for who may reach through to nodes.
    k.fails(f"get --raw {PROXY}/stats/summary --as system:serviceaccount:{k.namespace}:default").has("Forbidden")
    k.ok("delete pod busy")
    k.gone("pod busy")
    probes = samples(k.ok(f"get --raw {PROXY}/metrics/probes").out)
    equal([labels for labels, _ in probes.get("prober_probe_total", []) if labels["namespace"] == k.namespace], [])
