"""Claims and volumes: made on the node's disk, static, for one pod only; and what becomes of them."""

import os
import re
import subprocess

from harness import Failure, Skip, equal, indent, pod_yaml, scenario, shell

CLASS_COLUMNS = ["NAME", "PROVISIONER", "RECLAIMPOLICY", "VOLUMEBINDINGMODE", "ALLOWVOLUMEEXPANSION", "AGE"]
MOUNT = "volumeMounts:\n- {name: data, mountPath: /data}"


def claim_yaml(name, more="", size="1Mi"):
    return (f"apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata:\n  name: {name}\nspec:\n"
            f"  accessModes: [ReadWriteOnce]\n  resources:\n    requests:\n      storage: {size}\n" + indent(more, 2) + "\n")


def volume_yaml(name, source, more=""):
    return (f"apiVersion: v1\nkind: PersistentVolume\nmetadata:\n  name: {name}\nspec:\n"
            f"  accessModes: [ReadWriteOnce]\n  capacity:\n    storage: 1Mi\n" + indent(source, 2) + "\n" +
            indent(more, 2) + "\n")


def uses(claim, more=""):
    return f"volumes:\n- name: data\n  persistentVolumeClaim: {{claimName: {claim}}}\n{more}"


def writer(k, name, claim, script="echo here >>/data/file; exec sleep 1000", mounts=MOUNT, more=""):
    k.create(pod_yaml(name, shell("c", script, mounts), uses(claim, more)))


def phase(k, line, wanted, seconds=30):
    k.wait(f"{line} is {wanted}", lambda: k.ok(f"get {line} -o jsonpath={{.status.phase}}").out == wanted, seconds)


def volume_of(k, claim):
    return k.ok(f"get pvc {claim} -o jsonpath={{.spec.volumeName}}").out


def folder_of(k, claim):
    return k.ok(f"get pv {volume_of(k, claim)} -o jsonpath={{.spec.local.path}}").out


@scenario()
def data_outlives_the_pod(k):
    row = k.ok("get sc").columns(CLASS_COLUMNS)["local-path (default)"]
    equal((row["PROVISIONER"], row["RECLAIMPOLICY"], row["VOLUMEBINDINGMODE"], row["ALLOWVOLUMEEXPANSION"]),
          ("knarr.dev/local", "Delete", "WaitForFirstConsumer", "true"))
    k.create(claim_yaml("keeps"))
    k.event("WaitForFirstConsumer waiting for first consumer to be created before binding")
    equal(k.ok("get pvc keeps -o jsonpath={.status.phase}").out, "Pending")
    writer(k, "first", "keeps")
    k.ready("first")
    phase(k, "pvc/keeps", "Bound")
    volume = volume_of(k, "keeps")
    k.event(f"ProvisioningSucceeded Successfully provisioned volume {volume}")
    k.ok("get pvc,pv").has(rf"persistentvolumeclaim/keeps +Bound +{volume} +1Mi +RWO +local-path",
                           rf"persistentvolume/{volume} +1Mi +RWO +Delete +Bound +{k.namespace}/keeps +local-path")
    k.ok("describe pvc keeps").has("Used By: +first", "storage-provisioner: knarr.dev/local", "Capacity: +1Mi")
    k.ok(f"describe pv {volume}").has("Type: +LocalVolume", r"kubernetes.io/hostname in \[e2e-node\]")
    folder = folder_of(k, "keeps")
    equal(os.path.basename(folder), f"{volume}_{k.namespace}_keeps")
    k.ok("delete pod first")
    writer(k, "second", "keeps", "cat /data/file; exec sleep 1000")
    k.ready("second")
    k.wait("the data is there", lambda: k.ok("logs second").out == "here\n")
    # In use it stays; then all of it goes.
    k.ok("delete pvc keeps --wait=false")
    k.ok("get pvc keeps").has("Terminating")
    k.ok("delete pod second")
    k.gone("pvc keeps")
    k.gone(f"pv {volume}")
    equal(os.path.exists(folder), False)


@scenario(clients=["knarr"])
def what_is_retained_stays(k):
    name = f"kept-{k.namespace}"
    k.create(f"apiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata:\n  name: {name}\n"
             "provisioner: knarr.dev/local\nreclaimPolicy: Retain\nvolumeBindingMode: WaitForFirstConsumer\n")
    k.create(claim_yaml("keeps", f"storageClassName: {name}"))
    writer(k, "first", "keeps")
    k.ready("first")
    volume, folder = volume_of(k, "keeps"), folder_of(k, "keeps")
    k.ok("delete pod first")
    k.ok("delete pvc keeps")
    phase(k, f"pv/{volume}", "Released")
    k.ok(f"delete pv {volume}")
    with open(os.path.join(folder, "file"), encoding="utf-8") as file:
        equal(file.read(), "here\n")
    k.ok(f"delete sc {name}")


@scenario(clients=["knarr"])
def static_volumes(k):
    base = os.path.join(k.cluster.work, k.namespace)
    os.makedirs(os.path.join(base, "local"))
    on_node = ("nodeAffinity:\n  required:\n    nodeSelectorTerms:\n    - matchExpressions:\n"
               "      - {key: kubernetes.io/hostname, operator: In, values: [e2e-node]}")
    none = "storageClassName: ''"
    k.create(claim_yaml("local", f"{none}\nvolumeName: {k.namespace}-local"))
    k.create(claim_yaml("host", f"{none}\nvolumeName: {k.namespace}-host"))
    k.create(volume_yaml(f"{k.namespace}-local", f"local:\n  path: {base}/local", on_node))
    k.create(volume_yaml(f"{k.namespace}-host", f"hostPath:\n  path: {base}/host\n  type: DirectoryOrCreate",
                         f"claimRef: {{namespace: {k.namespace}, name: host}}"))
    for claim in ("local", "host"):
        phase(k, f"pvc/{claim}", "Bound")
        writer(k, f"uses-{claim}", claim)
        k.ready(f"uses-{claim}")
        with open(os.path.join(base, claim, "file"), encoding="utf-8") as file:
            equal(file.read(), "here\n")
    for claim in ("local", "host"):
        k.ok(f"delete pod uses-{claim}")
        k.ok(f"delete pvc {claim}")
        phase(k, f"pv/{k.namespace}-{claim}", "Released")
        k.ok(f"delete pv {k.namespace}-{claim}")
    k.create(volume_yaml(f"{k.namespace}-gone", f"local:\n  path: {base}/absent", on_node))
    k.create(claim_yaml("absent", f"{none}\nvolumeName: {k.namespace}-gone"))
    writer(k, "waits", "absent")
    k.event(rf'FailedMount MountVolume.SetUp failed for volume "{k.namespace}-gone" : path "{base}/absent" does not exist')
    os.makedirs(os.path.join(base, "absent"))
    k.ready("waits", 60)
    k.ok("delete pod waits")
    k.ok("delete pvc absent")
    k.ok(f"delete pv {k.namespace}-gone")


class LoopDevice:
    """A block device of a megabyte, for as long as the block lasts."""

    def __init__(self, file):
        self.file, self.path = file, None

    def __enter__(self):
        with open(self.file, "wb") as file:
            file.truncate(1 << 20)
        made = subprocess.run(["losetup", "--find", "--show", self.file], capture_output=True, text=True, check=False)
        if made.returncode != 0:
            os.unlink(self.file)
            raise Skip(f"no loop devices: {made.stderr}")
        self.path = made.stdout.strip()
        return self

    def __exit__(self, *_):
        subprocess.run(["losetup", "--detach", self.path], check=True)
        os.unlink(self.file)

    def content(self, size):
        with open(self.path, "rb", buffering=0) as device:
            return device.read(size)


@scenario()
def a_device_as_it_is(k):
    on_node = ("nodeAffinity:\n  required:\n    nodeSelectorTerms:\n    - matchExpressions:\n"
               "      - {key: kubernetes.io/hostname, operator: In, values: [e2e-node]}")
    kind = "volumeMode: Block\nstorageClassName: raw"
    devices = "volumeDevices:\n- {name: data, devicePath: /dev/xvda}"
    volume = f"{k.namespace}-raw"
    with LoopDevice(os.path.join(k.cluster.work, f"{k.namespace}.img")) as device:
        k.create(volume_yaml(volume, f"local: {{path: {device.path}}}\n{on_node}", kind))
        k.create(claim_yaml("raw", kind))
        phase(k, "pvc/raw", "Bound")
        k.ok("get pv -o wide").has(rf"{volume} .* Block")
        # What is written goes to the device, and nobody else's device may be used.
        script = ("test -b /dev/xvda && printf from-the-pod | dd of=/dev/xvda conv=notrunc,fsync 2>/dev/null && "
                  "echo written; mknod /dev/other b 7 250 && dd if=/dev/other count=1 2>&1 | "
                  "grep -o 'not permitted'; exec sleep 1000")
        k.create(pod_yaml("raw", shell("c", script, devices), uses("raw")))
        k.ready("raw")
        k.wait("it has written", lambda: k.ok("logs raw").out == "written\nnot permitted\n")
        equal(device.content(12), b"from-the-pod")
        k.ok("delete pod raw")
        reads = ("dd if=/dev/xvda bs=12 count=1 2>/dev/null; echo; "
                 "echo x | dd of=/dev/xvda 2>&1 | grep -o 'not permitted'; exec sleep 1000")
        k.create(pod_yaml("reads", shell("c", reads, devices),
                          "volumes:\n- name: data\n  persistentVolumeClaim: {claimName: raw, readOnly: true}\n"))
        k.ready("reads")
        k.wait("it has read", lambda: k.ok("logs reads").out == "from-the-pod\nnot permitted\n")
        writer(k, "mounts", "raw")
        k.event("FailedMount .*volume data has volumeMode Block, but is specified in volumeMounts")
        k.ok("delete pod reads mounts")
        k.ok("delete pvc raw")
        k.ok(f"delete pv {volume}")


@scenario(clients=["knarr"])
def a_claim_grows_while_it_is_used(k):
    k.apply(claim_yaml("grows"))
    writer(k, "uses", "grows")
    k.ready("uses")
    k.apply(claim_yaml("grows", size="2Mi"))
    k.wait("its capacity", lambda: k.ok("get pvc grows -o jsonpath={.status.capacity.storage}").out == "2Mi")
    equal(k.ok(f"get pv {volume_of(k, 'grows')} -o jsonpath={{.spec.capacity.storage}}").out, "2Mi")
    k.event("VolumeResizeSuccessful Resize volume succeeded")
    k.fails("apply -f -", claim_yaml("grows", size="1Mi")).has("field can not be less than status.capacity")


@scenario(clients=["knarr"])
def a_volume_of_the_pod_only(k):
    spec = ("volumes:\n- name: data\n  ephemeral:\n    volumeClaimTemplate:\n      metadata: {labels: {kind: scratch}}\n"
            "      spec:\n        accessModes: [ReadWriteOnce]\n        resources: {requests: {storage: 1Mi}}")
    k.create(pod_yaml("own", shell("c", "echo here >/data/file; exec sleep 1000", MOUNT), spec))
    k.ready("own")
    equal(k.ok("get pvc -l kind=scratch -o name").out, "persistentvolumeclaim/own-data\n")
    volume, folder = volume_of(k, "own-data"), folder_of(k, "own-data")
    k.ok("delete pod own")
    k.gone("pvc own-data")
    k.gone(f"pv {volume}")
    equal(os.path.exists(folder), False)
    k.create(claim_yaml("taken-data"))
    k.create(pod_yaml("taken", shell("c", "exec sleep 1000", MOUNT), spec))
    k.event(rf"FailedBinding ephemeral volume data: PVC {k.namespace}/taken-data was not created for pod "
            rf"{k.namespace}/taken \(pod is not owner\)")


@scenario(clients=["knarr"])
def pods_wait_for_their_claims(k):
    writer(k, "waits", "later")
    k.event('FailedScheduling 0/1 nodes are available: persistentvolumeclaim "later" not found')
    k.create(claim_yaml("later", "storageClassName: ''"))
    k.event("FailedScheduling 0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims")
    k.event("FailedBinding no persistent volumes available for this claim and no storage class is set")
    k.create(volume_yaml(f"{k.namespace}-later", f"hostPath:\n  path: {k.cluster.work}/{k.namespace}-later"))
    k.ready("waits")
    k.ok("delete pod waits")
    k.ok("delete pvc later")
    phase(k, f"pv/{k.namespace}-later", "Released")
    k.ok(f"delete pv {k.namespace}-later")


@scenario(clients=["knarr"])
def groups_sub_paths_and_read_only(k):
    k.create(claim_yaml("shared"))
    more = "securityContext: {runAsUser: 1234, fsGroup: 4321}"
    mounts = ("volumeMounts:\n- {name: data, mountPath: /data}\n- {name: data, mountPath: /sub, subPath: a/b}\n"
              "- {name: data, mountPath: /ro, readOnly: true}")
    writer(k, "first", "shared", "echo x >/data/f; echo y >/sub/g; stat -c '%u %g' /data/f; cat /data/a/b/g\n"
           "touch /ro/x; exec sleep 1000", mounts, more)
    k.ready("first")
    k.wait("what it saw", lambda: k.ok("logs first").has("1234 4321", "^y$", "/ro/x: Read-only"))
    reader = ("volumes:\n- name: data\n  persistentVolumeClaim: {claimName: shared, readOnly: true}")
    k.create(pod_yaml("second", shell("c", "cat /data/f; touch /data/x; exec sleep 1000", MOUNT), reader))
    k.ready("second")
    k.wait("it reads", lambda: k.ok("logs second").has("^x$", "/data/x: Read-only"))


@scenario(clients=["knarr"])
def one_pod_only(k):
    k.create(claim_yaml("single").replace("ReadWriteOnce", "ReadWriteOncePod"))
    writer(k, "first", "single")
    k.ready("first")
    writer(k, "second", "single")
    k.event("FailedScheduling 0/1 nodes are available: 1 node.s. unavailable due to PersistentVolumeClaim with "
            "ReadWriteOncePod access mode already in-use by another pod")
    k.ok("delete pod first")
    k.ready("second", 60)


@scenario(clients=["knarr"])
def volumes_that_cant_be_made(k):
    k.create(claim_yaml("shared").replace("ReadWriteOnce", "ReadWriteMany"))
    writer(k, "waits", "shared")
    k.event('ProvisioningFailed failed to provision volume with StorageClass "local-path": access mode ReadWriteMany is '
            "not supported")
    k.ok("delete pod waits")
    k.create(claim_yaml("absent", "storageClassName: absent"))
    k.event('ProvisioningFailed storageclass.storage.k8s.io "absent" not found')


def storage_is_empty(k):
    folder = os.path.join(k.cluster.data, "storage")
    mine = [name for name in os.listdir(folder) if f"_{k.namespace}_" in name]
    notes = os.path.join(folder, ".begun")
    return not mine and not (os.path.isdir(notes) and os.listdir(notes))


@scenario(clients=["knarr"])
def volumes_outlive_the_server(k):
    k.create(claim_yaml("keeps"))
    writer(k, "first", "keeps")
    k.ready("first")
    identity = k.container("first")["containerID"]
    folder = folder_of(k, "keeps")
    for name in ("a", "b", "c"):
        k.create(claim_yaml(name))
        writer(k, f"uses-{name}", name)
    # Killed while three are being made.
    k.cluster.kill()
    k.cluster.start()
    for name in ("a", "b", "c"):
        k.ready(f"uses-{name}", 60)
    k.ready("first")
    equal((k.container("first")["containerID"], k.container("first")["restartCount"]), (identity, 0))
    with open(os.path.join(folder, "file"), encoding="utf-8") as file:
        equal(file.read(), "here\n")
    # Killed while they go.
    k.ok("delete pod uses-a uses-b uses-c first --wait=false")
    k.ok("delete pvc a b c keeps --wait=false")
    k.cluster.kill()
    k.cluster.start()
    for name in ("a", "b", "c", "keeps"):
        k.gone(f"pvc {name}")
    k.wait("nothing is left", lambda: storage_is_empty(k))
    if re.search(rf"{k.namespace}/", k.ok("get pv").out):
        raise Failure("volumes are left")


# ---- As '[sig-storage] PersistentVolumes CSI Conformance' and 'StorageClasses CSI Conformance' go ----


def external_volume(name, namespace):
    return volume_yaml(name, f"csi:\n  driver: e2e-driver-{namespace}\n  volumeHandle: e2e-conformance",
                       f"storageClassName: e2e-{namespace}\npersistentVolumeReclaimPolicy: Retain").replace(
                           f"name: {name}\n", f"name: {name}\n  labels: {{e2e: {namespace}}}\n", 1)


@scenario(clients=["kubectl"])
def lifecycle_of_a_volume_and_a_claim(k):
    name, label = f"csi-{k.namespace}", f"-l e2e={k.namespace}"
    for _ in range(2):
        k.create(external_volume(name, k.namespace))
        k.create(claim_yaml("claim", f"storageClassName: e2e-{k.namespace}\nvolumeName: {name}"))
        equal(k.ok(f"get pv {label} -o name").out, f"persistentvolume/{name}\n")
        k.ok(f"label pv {name} patched=yes")
        k.ok("label pvc claim patched=yes")
        equal(k.ok("get pvc -l patched=yes -o name").out, "persistentvolumeclaim/claim\n")
        phase(k, "pvc/claim", "Bound")
        equal(k.ok("get pvc claim -o jsonpath={.spec.volumeName}").out, name)
        # One by one, and all at once.
        k.ok("delete pvc -l patched=yes")
        k.gone("pvc claim")
        phase(k, f"pv/{name}", "Released")
        k.ok(f"delete pv {label}")
        k.gone(f"pv {name}")


@scenario(clients=["kubectl"])
def status_of_a_volume_and_a_claim(k):
    name = f"csi-{k.namespace}"
    k.create(external_volume(name, k.namespace))
    k.create(claim_yaml("claim", f"storageClassName: e2e-{k.namespace}\nvolumeName: {name}"))
    phase(k, "pvc/claim", "Bound")
    condition = ('{"status":{"conditions":[{"type":"StatusPatched","status":"True","reason":"E2E",'
                 '"message":"Set by an e2e test"}]}}')
    k.ok(["patch", "pvc", "claim", "--subresource=status", "-p", condition])
    equal(k.object("pvc claim")["status"]["conditions"][0]["type"], "StatusPatched")
    k.ok(["patch", "pv", name, "--subresource=status", "-p", '{"status":{"message":"e2e","reason":"E2E"}}'])
    status = k.object(f"pv {name}")["status"]
    equal((status["phase"], status["message"], status["reason"]), ("Bound", "e2e", "E2E"))
    k.ok("delete pvc claim")
    k.ok(f"delete pv {name}")


@scenario(clients=["kubectl"])
def lifecycle_of_a_storage_class(k):
    name, label = f"class-{k.namespace}", f"-l e2e={k.namespace}"
    text = (f"apiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata:\n  name: {name}\n"
            f"  labels: {{e2e: {k.namespace}}}\nprovisioner: example.com/e2e\n")
    for _ in range(2):
        k.create(text)
        got = k.object(f"sc {name}")
        equal((got["reclaimPolicy"], got["volumeBindingMode"]), ("Delete", "Immediate"))
        k.ok(f"label sc {name} patched=yes")
        equal(k.ok(f"get sc {label} -o name").out, f"storageclass.storage.k8s.io/{name}\n")
        k.fails(["patch", "sc", name, "-p", '{"provisioner":"example.com/other"}']).has("field is immutable")
        k.ok(f"delete sc {label}")
        k.gone(f"sc {name}")
