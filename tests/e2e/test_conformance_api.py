"""What conformance asks of objects that sig-node and sig-storage look after, as client libraries ask: all verbs, and logs
and commands over WebSockets."""

import base64
import hashlib
import json
import os
import re
import socket
import ssl
import struct
import subprocess

import harness
from conformance import behaviour, config_map, covers, create, ended, hello, job, pod, raw, secret, sh
from harness import Failure, NODE, equal, wait_until

SLEEP = "exec sleep 1000"
CSI_DRIVER = {"attachRequired": False, "podInfoOnMount": True, "volumeLifecycleModes": ["Ephemeral"]}
CLAIM = {"devices": {"requests": [{"name": "r", "exactly": {"deviceClassName": "example-class"}}]}}
SLICE = {"driver": "driver.example.com", "nodeName": "no-such-node", "devices": [{"name": "d"}],
         "pool": {"name": "p", "generation": 1, "resourceSliceCount": 1}}
LOCAL = {"capacity": {"storage": "2Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "no-such-class",
         "csi": {"driver": "e2e.example.com", "volumeHandle": "h"}}
ASKED = {"resources": {"requests": {"storage": "2Gi"}}, "accessModes": ["ReadWriteOnce"],
         "storageClassName": "no-such-class", "volumeName": "nobody"}
ANNOTATED = {"metadata": {"annotations": {"x": "y"}}}
E2E = {"status": {"conditions": [{"type": "E2E", "status": "True", "reason": "Set"}]}}
# behaviour → group-version, resource, kind, body, a change, whether it lies in a namespace, whether it has a status
VOLUMES = "[sig-storage] PersistentVolumes CSI Conformance should "
KINDS = {
    VOLUMES + "run through the lifecycle of a PV and a PVC":
        ("v1", "persistentvolumes", "PersistentVolume", {"spec": LOCAL}, ANNOTATED, False, None),
    VOLUMES + "run through the lifecycle of a PV and a PVC (the claim)":
        ("v1", "persistentvolumeclaims", "PersistentVolumeClaim", {"spec": ASKED}, ANNOTATED, True, None),
    VOLUMES + "apply changes to a pv/pvc status":
        ("v1", "persistentvolumes", "PersistentVolume", {"spec": LOCAL}, ANNOTATED, False,
         {"status": {"message": "set", "reason": "E2E"}}),
    VOLUMES + "apply changes to a pv/pvc status (the claim)":
        ("v1", "persistentvolumeclaims", "PersistentVolumeClaim", {"spec": ASKED}, ANNOTATED, True, E2E),
    "[sig-node] ConfigMap should run through a ConfigMap lifecycle":
        ("v1", "configmaps", "ConfigMap", {"data": {"a": "1"}}, {"data": {"a": "2"}}, True, None),
    "[sig-node] PodTemplates should run the lifecycle of PodTemplates":
        ("v1", "podtemplates", "PodTemplate", {"template": {"spec": {"containers": [{"name": "c", "image": "i"}]}}},
         {"template": {"metadata": {"labels": {"x": "y"}}}}, True, None),
    "[sig-node] Lease lease API should be available":
        ("coordination.k8s.io/v1", "leases", "Lease",
         {"spec": {"holderIdentity": "one", "leaseDurationSeconds": 30, "acquireTime": "2026-01-01T00:00:00.000000Z"}},
         {"spec": {"holderIdentity": "two"}}, True, None),
    "[sig-node] RuntimeClass should support RuntimeClasses API operations":
        ("node.k8s.io/v1", "runtimeclasses", "RuntimeClass", {"handler": "h"}, {"metadata": {"annotations": {"x": "y"}}},
         False, None),
    "[sig-node] [DRA] CRUD Tests resource.k8s.io/v1 DeviceClass":
        ("resource.k8s.io/v1", "deviceclasses", "DeviceClass", {"spec": {}}, {"metadata": {"annotations": {"x": "y"}}},
         False, None),
    "[sig-node] [DRA] CRUD Tests resource.k8s.io/v1 ResourceClaim":
        ("resource.k8s.io/v1", "resourceclaims", "ResourceClaim", {"spec": CLAIM},
         {"metadata": {"annotations": {"x": "y"}}}, True,
         {"status": {"reservedFor": [{"resource": "pods", "name": "p", "uid": "u"}],
                     "allocation": {"devices": {"results": [{"request": "r", "driver": "d.example", "pool": "p",
                                                             "device": "x"}]}}}}),
    "[sig-node] [DRA] CRUD Tests resource.k8s.io/v1 ResourceClaimTemplate":
        ("resource.k8s.io/v1", "resourceclaimtemplates", "ResourceClaimTemplate", {"spec": {"spec": CLAIM}},
         {"metadata": {"annotations": {"x": "y"}}}, True, None),
    "[sig-node] [DRA] CRUD Tests resource.k8s.io/v1 ResourceSlice":
        ("resource.k8s.io/v1", "resourceslices", "ResourceSlice", {"spec": SLICE},
         {"metadata": {"annotations": {"x": "y"}}}, False, None),
    "[sig-storage] CSIInlineVolumes should run through the lifecycle of a CSIDriver":
        ("storage.k8s.io/v1", "csidrivers", "CSIDriver", {"spec": CSI_DRIVER},
         {"metadata": {"annotations": {"x": "y"}}}, False, None),
    "[sig-storage] CSINodes CSI Conformance should run through the lifecycle of a csinode":
        ("storage.k8s.io/v1", "csinodes", "CSINode", {"spec": {"drivers": []}},
         {"metadata": {"annotations": {"x": "y"}}}, False, None),
    "[sig-storage] CSIStorageCapacity should support CSIStorageCapacities API operations":
        ("storage.k8s.io/v1", "csistoragecapacities", "CSIStorageCapacity", {"storageClassName": "example"},
         {"metadata": {"annotations": {"x": "y"}}}, True, None),
    "[sig-storage] StorageClasses CSI Conformance should run through the lifecycle of a StorageClass":
        ("storage.k8s.io/v1", "storageclasses", "StorageClass", {"provisioner": "example.com/e2e"},
         {"metadata": {"annotations": {"x": "y"}}}, False, None),
    "[sig-storage] VolumeAttachment Conformance should run through the lifecycle of a VolumeAttachment":
        ("storage.k8s.io/v1", "volumeattachments", "VolumeAttachment",
         {"spec": {"attacher": "example.com", "nodeName": "no-such-node", "source": {"persistentVolumeName": "v"}}},
         {"metadata": {"annotations": {"x": "y"}}}, False, None),
    "[sig-storage] VolumeAttachment Conformance should apply changes to a volumeattachment status":
        ("storage.k8s.io/v1", "volumeattachments", "VolumeAttachment",
         {"spec": {"attacher": "example.com", "nodeName": "no-such-node", "source": {"persistentVolumeName": "v"}}},
         {"metadata": {"annotations": {"x": "y"}}}, False, {"status": {"attached": False, "detachError": {"message": "m"}}}),
    "[sig-storage] VolumeAttributesClass [FeatureGate:VolumeAttributesClass] should run through the lifecycle of a "
    "VolumeAttributesClass":
        ("storage.k8s.io/v1", "volumeattributesclasses", "VolumeAttributesClass",
         {"driverName": "example.com", "parameters": {"a": "b"}}, {"metadata": {"annotations": {"x": "y"}}}, False, None),
}


def holds(have, want):
    """Whether everything of `want` is in `have`."""
    if isinstance(want, dict):
        return isinstance(have, dict) and all(holds(have.get(key), value) for key, value in want.items())
    if isinstance(want, list):
        return isinstance(have, list) and len(have) == len(want) and all(map(holds, have, want))
    return have == want


def live(k, number, version, resource, kind, body, change, namespaced, status):
    """One object through all verbs."""
    base = ("/api/" if version == "v1" else "/apis/") + version
    where = f"{base}/namespaces/{k.namespace}/{resource}" if namespaced else f"{base}/{resource}"
    name = f"{k.namespace}-{number}" + (".example.com" if kind == "CSIDriver" else "")
    labels = {"e2e": k.namespace, "number": str(number)}
    selector = f"labelSelector=e2e={k.namespace},number={number}"
    made = raw(k, "POST", where, {"apiVersion": version, "kind": kind, "metadata": {"name": name, "labels": labels}} | body)
    equal((made["metadata"]["name"], holds(made, body)), (name, True))
    got = raw(k, "GET", f"{where}/{name}")
    equal(got["metadata"]["uid"], made["metadata"]["uid"])
    for path in {where, f"{base}/{resource}"}:
        equal([item["metadata"]["name"] for item in raw(k, "GET", f"{path}?{selector}")["items"]], [name])
    which = ["-n", k.namespace] if namespaced else ["--all-namespaces=false"]
    qualified = resource if version == "v1" else f"{resource}.{version.split('/')[1]}.{version.split('/')[0]}"
    patch = ["patch", qualified, name, *which[:2 if namespaced else 0], "--type=merge", "-p"]
    k.ok(patch + [json.dumps(change)])
    equal(holds(raw(k, "GET", f"{where}/{name}"), change), True, "patched")

    def updated(path, more):
        """A controller may write meanwhile: then it is read again."""
        def put():
            now = raw(k, "GET", path)
            now["metadata"]["labels"]["updated"] = "yes"
            return raw(k, "PUT", path, now | more(now))

        return wait_until(f"{path} is updated", put, 10)

    got = updated(f"{where}/{name}", lambda now: {})
    equal(got["metadata"]["labels"]["updated"], "yes")
    if got["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]:
        raise Failure("the resourceVersion has not changed")
    if status:
        put = updated(f"{where}/{name}/status", lambda now: {"status": now.get("status", {}) | status["status"]})
        equal(holds(put, status), True, "status")
        k.ok(patch + [json.dumps({"metadata": {"annotations": {"status": "patched"}}}), "--subresource=status"])
        equal(holds(raw(k, "GET", f"{where}/{name}/status"), status), True, "status")
    # What is seen of it by who watches from the beginning.
    seen = k.any(["get", "--raw", f"{where}?watch=1&{selector}&resourceVersion={made['metadata']['resourceVersion']}"
                  "&timeoutSeconds=1"]).out
    kinds = [json.loads(line)["type"] for line in seen.splitlines()]
    if "MODIFIED" not in kinds:
        raise Failure(f"watched: {kinds}")
    raw(k, "DELETE", f"{where}/{name}")
    wait_until("it is gone", lambda: "NotFound" in k.any(["get", "--raw", f"{where}/{name}"]).err, 10)
    # And again, for the verb that takes all that fit.
    raw(k, "POST", where, {"apiVersion": version, "kind": kind, "metadata": {"name": name, "labels": labels}} | body)
    raw(k, "DELETE", f"{where}?{selector}")
    wait_until("it is gone again", lambda: not raw(k, "GET", f"{where}?{selector}")["items"], 10)


def live_all(k, cases):
    wrong = []
    for number, (name, case) in enumerate(cases.items()):
        try:
            live(k, number, *case)
        except Failure as failure:
            wrong.append(f"{name}: {failure}")
    if wrong:
        raise Failure("\n".join(wrong))


def register_lives(parts=5):
    """Several scenarios, so that they run beside each other."""
    for part in range(parts):
        cases = dict(list(KINDS.items())[part::parts])

        def lives(k, cases=cases):
            live_all(k, cases)

        lives.__name__ = f"objects_through_all_verbs_{part}"
        behaviour(*(name for name in cases if not name.endswith("(the claim)")), client="kubectl")(lives)


register_lives()
covers("[sig-node] PodTemplates should delete a collection of pod templates",
       "[sig-node] PodTemplates should replace a pod template")(live)


@behaviour("[sig-node] ConfigMap should fail to create ConfigMap with empty key",
           "[sig-node] Secrets should fail to create secret due to empty secret key",
           "[sig-node] ConfigMap should update ConfigMap successfully", "[sig-node] Secrets should patch a secret",
           client="kubectl")
def keys_of_config_maps_and_secrets(k):
    k.fails("create -f -", json.dumps(config_map("bad", {"": "value"}))).has(
        r'ConfigMap "bad" is invalid: data\[\]: Invalid value: ""')
    k.fails("create -f -", json.dumps(secret("bad", {"": "value"}))).has(
        r'Secret "bad" is invalid: data\[\]: Invalid value: ""')
    create(k, config_map("map", {"data": "one"}), secret("keys", {"key": "value"}))
    got = k.object("configmap map")
    got["data"]["data"] = "two"
    k.ok("replace -f -", json.dumps(got))
    equal(k.object("configmap map")["data"], {"data": "two"})
    k.ok(["patch", "secret", "keys", "-p", json.dumps({"metadata": {"labels": {"s": "y"}}, "data": {"key": "dmFsdWUx"}})])
    equal(k.object("secret -l s=y")["items"][0]["data"]["key"], "dmFsdWUx")
    k.ok("delete secret -l s=y")
    equal(k.items("secret -l s=y"), [])


@behaviour("[sig-node] Pods should patch a pod status",
           "[sig-node] Pods should run through the lifecycle of Pods and PodStatus",
           "[sig-storage] CSIInlineVolumes should support CSIVolumeSource in Pod API", client="kubectl")
def pods_and_their_status(k):
    create(k, pod("one", sh("c", SLEEP), labels={"test": "yes"}))
    k.ready("one")
    condition = {"status": {"message": "Patched by e2e test", "reason": "E2E"}}
    k.ok(["patch", "pod", "one", "--subresource=status", "-p", json.dumps(condition)])
    k.ok(["patch", "pod", "one", "-p", json.dumps({"metadata": {"labels": {"test": "patched"}},
                                                   "spec": {"terminationGracePeriodSeconds": 1}})])
    equal(k.pod("one")["metadata"]["labels"]["test"], "patched")
    path = f"/api/v1/namespaces/{k.namespace}/pods/one/status"
    gate = {"type": "e2e.example/gate", "status": "True", "reason": "E2E"}
    k.ok(["patch", "pod", "one", "--subresource=status", "-p", json.dumps({"status": {"conditions": [gate]}})])
    got = raw(k, "GET", path)
    equal([c["reason"] for c in got["status"]["conditions"] if c["type"] == gate["type"]], ["E2E"])
    # What others wrote stays, beside what the node writes.
    equal([c["status"] for c in got["status"]["conditions"] if c["type"] == "Ready"], ["True"])
    k.ok("delete pods -l test=patched")
    k.gone("pod one")
    inline = {"name": "v", "csi": {"driver": "e2e.example.com", "volumeAttributes": {"a": "b"}, "readOnly": True}}
    create(k, pod("inline", sh("c", SLEEP), volumes=[inline], nodeSelector={"no": "such"}, labels={"csi": "yes"}))
    equal(k.pod("inline")["spec"]["volumes"][0], inline)
    k.ok(["patch", "pod", "inline", "-p", json.dumps({"metadata": {"labels": {"csi": "patched"}}})])
    equal(k.ok("get pods -l csi=patched -o name").out, "pod/inline\n")
    k.ok("delete pods -l csi=patched")
    k.gone("pod inline")


# ---- WebSockets ----


class WebSocket:
    """A client of the API server's, with the administrator's certificate."""

    def __init__(self, k, path, protocol):
        self.path, self.protocol = path, protocol
        config = subprocess.run(["kubectl", "config", "view", "--raw", "-o", "json"], capture_output=True, text=True,
                                check=True, env=k.cluster.environment()).stdout
        config = json.loads(config)
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        files = {}
        for key, text in (("ca", cluster["certificate-authority-data"]), ("cert", user["client-certificate-data"]),
                          ("key", user["client-key-data"])):
            files[key] = os.path.join(k.cluster.work, f"{k.namespace}-{key}.pem")
            with open(files[key], "wb") as file:
                file.write(base64.b64decode(text))
        context = ssl.create_default_context(cafile=files["ca"])
        context.load_cert_chain(files["cert"], files["key"])
        host, port = re.fullmatch(r"https://(.*):(\d+)", cluster["server"]).groups()
        self.stream = context.wrap_socket(socket.create_connection((host, int(port)), timeout=20), server_hostname=host)
        key = base64.b64encode(os.urandom(16)).decode()
        head = (f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n")
        if protocol:
            head += f"Sec-WebSocket-Protocol: {protocol}\r\n"
        self.stream.sendall((head + "\r\n").encode())
        self.buffer = b""
        while b"\r\n\r\n" not in self.buffer:
            self.more()
        answer, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        accept = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest())
        if b" 101 " not in answer.split(b"\r\n")[0] + b" " or accept not in answer:
            raise Failure(answer.decode())

    def more(self):
        got = self.stream.recv(65536)
        if not got:
            raise Failure(f"the connection has ended without a close frame: {self.path} {self.protocol}")
        self.buffer += got

    def take(self, count):
        while len(self.buffer) < count:
            self.more()
        got, self.buffer = self.buffer[:count], self.buffer[count:]
        return got

    def messages(self):
        """(opcode, data) until the server closes."""
        while True:
            first, length = self.take(2)
            length &= 127
            if length == 126:
                length = struct.unpack(">H", self.take(2))[0]
            elif length == 127:
                length = struct.unpack(">Q", self.take(8))[0]
            data = self.take(length)
            if first & 15 == 8:
                self.stream.close()
                return
            if first & 15 in (1, 2):
                yield first & 15, data


@behaviour("[sig-node] Pods should support remote command execution over websockets",
           "[sig-node] Pods should support retrieving logs from the container over websockets", client="kubectl")
def streams_over_websockets(k):
    create(k, pod("talks", sh("c", "echo container is alive; " + SLEEP)), job("ends", sh("c", "echo over; sleep 1; echo bye")))
    k.ready("talks")
    base = f"/api/v1/namespaces/{k.namespace}/pods/"
    path = base + "talks/exec?command=echo&command=remote&command=execution&stdout=1&stderr=1"
    for protocol in ("v4.channel.k8s.io", "v5.channel.k8s.io"):
        got = list(WebSocket(k, path, protocol).messages())
        equal(b"".join(data[1:] for _, data in got if data[:1] == b"\x01"), b"remote execution\n", "exec " + protocol)
        equal([json.loads(data[1:])["status"] for _, data in got if data[:1] == b"\x03"], ["Success"], protocol)
    wait_until("it has spoken", lambda: k.ok("logs talks").out)
    for protocol, opcode in (("", 2), ("binary.k8s.io", 2), ("base64.binary.k8s.io", 1)):
        got = list(WebSocket(k, base + "talks/log?container=c", protocol).messages())
        equal((got[0], {kind for kind, _ in got}), ((opcode, b""), {opcode}), protocol)
        text = b"".join(base64.b64decode(data) if opcode == 1 else data for _, data in got)
        equal(text, b"container is alive\n", protocol)
    follow = WebSocket(k, base + "ends/log?follow=true", "binary.k8s.io")
    equal(b"".join(data for _, data in follow.messages()), b"over\nbye\n")
    ended(k, "ends")


# ---- Nodes ----


@behaviour("[sig-node] Node Lifecycle should run through the lifecycle of a node", client="kubectl")
def a_node_that_nobody_is(k):
    name = f"{k.namespace}-node"
    body = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {"e2e": k.namespace}},
            "status": {"capacity": {"cpu": "4", "memory": "1Gi", "pods": "0"}}}
    try:
        raw(k, "POST", "/api/v1/nodes", body)
        raw(k, "GET", f"/api/v1/nodes/{name}")
        k.ok(["patch", "node", name, "-p", json.dumps({"metadata": {"labels": {"patched": "yes"}}})])
        got = raw(k, "GET", f"/api/v1/nodes?labelSelector=e2e={k.namespace}")["items"]
        equal([node["metadata"]["labels"]["patched"] for node in got], ["yes"])

        def updated():
            now = raw(k, "GET", f"/api/v1/nodes/{name}")
            now["metadata"]["labels"]["updated"] = "yes"
            return k.any("replace --raw /api/v1/nodes/" + name + " -f -", json.dumps(now)).code == 0

        wait_until("the update is taken", updated)
        condition = {"type": "E2E", "status": "True", "reason": "e2e", "message": "m"}
        k.ok(["patch", "node", name, "--subresource=status", "-p", json.dumps({"status": {"conditions": [condition]}})])
        conditions = raw(k, "GET", f"/api/v1/nodes/{name}/status")["status"]["conditions"]
        equal([c["status"] for c in conditions if c["type"] == "E2E"], ["True"])
        raw(k, "DELETE", f"/api/v1/nodes?labelSelector=e2e={k.namespace}")
        k.fails(["get", "--raw", f"/api/v1/nodes/{name}"]).has("NotFound")
    finally:
        k.any(["delete", "node", name, "--ignore-not-found"])


@harness.scenario(clients=["kubectl"])
def taints_that_drive_pods_away(k):
    """[sig-node] NoExecuteTaintManager Single Pod [Serial] removing taint cancels eviction
    [sig-node] NoExecuteTaintManager Multiple Pods [Serial] evicts pods with minTolerationSeconds"""
    taint = "e2e.example/away=yes:NoExecute"

    def tolerant(name, seconds):
        return pod(name, hello("c"), tolerations=[{"key": "e2e.example/away", "operator": "Exists", "effect": "NoExecute",
                                                   "tolerationSeconds": seconds}])

    create(k, tolerant("short", 3), tolerant("long", 6), tolerant("stays", 600), pod("none", hello("c")))
    for name in ("short", "long", "stays", "none"):
        k.ready(name)
    try:
        k.ok(f"taint node {NODE} {taint}")
        for name in ("none", "short"):
            k.gone(f"pod {name}", 15)
        equal(k.any("get pod long").code, 0)
        k.ok(f"taint node {NODE} {taint}-")
        # Had the taint stayed, it would be gone by then.
        k.fails("wait --for=delete pod/long --timeout=6s").has("timed out")
    finally:
        k.any(f"taint node {NODE} {taint}-")
    equal([k.pod(name)["status"]["phase"] for name in ("long", "stays")], ["Running", "Running"])
