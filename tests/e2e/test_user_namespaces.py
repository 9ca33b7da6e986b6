"""Pods with `hostUsers: false`: who their users are on the machine, and who owns what they share with it."""

import os
import re
import subprocess

from harness import Failure, Skip, equal, pod_yaml, scenario, shell

SLEEP = "exec sleep 1000"


def supported(k):
    """Skips where the kernel or the runtime has none."""
    handler = k.object("nodes")["items"][0]["status"]["runtimeHandlers"][0]
    if not handler["features"].get("userNamespaces"):
        raise Skip("no user namespaces here")


def first_id(k, pod):
    """Who root of the pod is on the machine: what its own map says, and what the machine sees of its processes."""
    found = re.fullmatch(r"\s*0\s+(\d+)\s+65536\s*", k.ok(f"exec {pod} -- cat /proc/self/uid_map").out)
    if not found:
        raise Failure(k.ok(f"exec {pod} -- cat /proc/self/uid_map").out)
    first = int(found.group(1))
    equal(first % 65536, 0)
    if first < 65536:
        raise Failure(f"{pod} begins at {first}")
    path = os.path.join(k.cluster.data, "pods", k.pod(pod)["metadata"]["uid"])
    if not k.cluster.runtime:
        with open(os.path.join(path, "userns"), encoding="utf-8") as file:
            equal(f'"hostId":{first},' in file.read(), True)
    return first


def process_owner(marker):
    """Who runs the process with that word in its command line, seen from the machine."""
    for pid in os.listdir("/proc"):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                if marker.encode() in file.read() and int(pid) != os.getpid():
                    return os.stat(f"/proc/{pid}").st_uid
        except (OSError, ValueError):
            continue
    raise Failure(f"no process {marker}")


@scenario(clients=["knarr"])
def pods_have_users_of_their_own(k):
    supported(k)
    # In the data folder: its file system can do it, as the node found out.
    folder = os.path.join(k.cluster.data, "shared-folder")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "given"), "w", encoding="utf-8") as file:
        file.write("given\n")
    os.chown(os.path.join(folder, "given"), 1000, 2000)
    k.ok("create secret generic keys --from-literal=password=s3cret")
    k.ok("create configmap settings --from-literal=a=b")
    spec = ("hostUsers: false\nsecurityContext:\n  fsGroup: 2000\n  sysctls:\n"
            "  - {name: net.ipv4.tcp_fin_timeout, value: '17'}\n"
            "volumes:\n- name: e\n  emptyDir: {}\n- name: m\n  emptyDir: {medium: Memory}\n"
            f"- name: h\n  hostPath: {{path: '{folder}'}}\n- name: keys\n  secret: {{secretName: keys, defaultMode: 0400}}\n"
            "- name: settings\n  configMap: {name: settings}\n"
            "- name: all\n  projected:\n    sources:\n    - downwardAPI: {items: [{path: name, fieldRef: {fieldPath: "
            "metadata.name}}]}\n- name: i\n  image: {reference: 'knarr/hello:1', pullPolicy: Never}")
    mounts = ("volumeMounts:\n- {name: e, mountPath: /e}\n- {name: m, mountPath: /m}\n- {name: h, mountPath: /h}\n"
              "- {name: keys, mountPath: /keys}\n- {name: settings, mountPath: /settings}\n- {name: all, mountPath: /all}\n"
              "- {name: i, mountPath: /i}\n- {name: e, mountPath: /sub, subPath: below}")
    script = ("set -e; id -u; stat -c '%u %g' /h/given; echo made >/h/made; echo x >/e/x; echo x >/m/x; echo x >/sub/x\n"
              "stat -c %g /e/x /m/x /sub/x; cat /keys/password /settings/a /all/name; echo\n"
              "stat -c '%u %g' /i /bin; cat /proc/sys/net/ipv4/tcp_fin_timeout; cat /etc/hosts >/dev/null\n"
              "echo said >/dev/termination-log; " + SLEEP + "01")
    user = shell("user", "id -u; cat /h/given; " + SLEEP, "securityContext: {runAsUser: 1000, runAsGroup: 3000}\n"
                 "volumeMounts:\n- {name: h, mountPath: /h}")
    k.create(pod_yaml("own", shell("c", script, mounts) + "\n" + user, spec))
    k.ready("own")
    k.wait("what it sees", lambda: k.ok("logs own -c c").out ==
           "0\n1000 2000\n2000\n2000\n2000\ns3cretbown\n0 0\n0 0\n17\n")
    k.wait("what its user sees", lambda: k.ok("logs own -c user").out == "1000\ngiven\n")
    first = first_id(k, "own")
    equal(process_owner("100001"), first, "its processes")
    made = os.stat(os.path.join(folder, "made"))
    equal((made.st_uid, made.st_gid), (0, 0), "what it made in a folder of the machine")
    # Another has other ids, and what belongs to the first is nobody's there.
    k.create(pod_yaml("other", shell("c", "stat -c %u /proc/1; " + SLEEP), "hostUsers: false"))
    k.ready("other")
    second = first_id(k, "other")
    if second == first:
        raise Failure(f"both have the ids from {first} on")
    k.create(pod_yaml("plain", shell("c", SLEEP)))
    k.ready("plain")
    k.ok("exec plain -- cat /proc/self/uid_map").has(r"^\s+0\s+0\s+4294967295$")


@scenario(clients=["kubectl"])
def commands_probes_copies_and_the_last_words(k):
    supported(k)
    probe = "readinessProbe:\n  exec: {command: [sh, -c, 'test -O /tmp/ready']}\n  periodSeconds: 1"
    script = "touch /tmp/ready; while [ ! -e /tmp/end ]; do sleep 0.1; done; echo bye >/dev/termination-log; exit 3"
    k.create(pod_yaml("own", shell("c", script, probe), "hostUsers: false\nrestartPolicy: Never\n"
                      "shareProcessNamespace: true"))
    k.ready("own")
    k.ok("exec own -- sh -c 'echo by-name >>/dev/stdout'").has("^by-name$")
    k.ok("exec -i own -- cat", stdin="there and back\n").has("^there and back$")
    source = os.path.join(k.cluster.work, "copied")
    with open(source, "w", encoding="utf-8") as file:
        file.write("copied\n")
    k.ok(f"cp {source} {k.namespace}/own:/tmp/copied")
    k.ok("exec own -- stat -c %u /tmp/copied").has("^0$")
    k.ok(f"cp {k.namespace}/own:/tmp/copied {source}.back")
    with open(source + ".back", encoding="utf-8") as file:
        equal(file.read(), "copied\n")
    k.ok("debug own --image busybox --image-pull-policy Never --target c --container d -- sh -c 'cat /proc/self/uid_map; sleep 100'")
    k.wait("the one to debug with", lambda: k.any("logs own -c d").out.strip())
    equal(k.ok("logs own -c d").out.split()[1], str(first_id(k, "own")), "it is in the same namespace")
    k.ok("exec own -- touch /tmp/end")
    k.wait("it ends", lambda: k.container("own", "c")["state"].get("terminated"))
    equal(k.container("own", "c")["state"]["terminated"]["message"], "bye\n")


@scenario(clients=["knarr"])
def what_goes_together_with_it(k):
    for field, name in (("hostNetwork: true", "hostNetwork"), ("hostPID: true", "HostPID"), ("hostIPC: true", "HostIPC")):
        done = k.fails("create -f -", stdin=pod_yaml("bad", shell("c", SLEEP), f"hostUsers: false\n{field}"))
        done.has(rf"spec\.{name}: Forbidden: when `hostUsers` is false")
    supported(k)
    k.only_own_engine("its messages are its own")
    # A file system whose files can't be shown with other owners.
    folder = os.path.join(k.cluster.work, "no-idmap")
    for part in ("a", "b", "shown"):
        os.makedirs(os.path.join(folder, part), exist_ok=True)
    shown = os.path.join(folder, "shown")
    options = f"lowerdir={folder}/a:{folder}/b"
    subprocess.run(["mount", "-t", "overlay", "overlay", shown, "-o", options], check=True)
    try:
        volume = f"hostUsers: false\nvolumes:\n- name: v\n  hostPath: {{path: '{shown}'}}"
        k.create(pod_yaml("refused", shell("c", SLEEP, "volumeMounts:\n- {name: v, mountPath: /v}"), volume))
        k.event(rf"failed to set MOUNT_ATTR_IDMAP on {shown}: invalid argument \(maybe the filesystem used doesn't "
                "support idmap mounts on this kernel\\?\\)")
        k.ok("delete pod refused")
        k.gone("pod refused")
    finally:
        subprocess.run(["umount", "-l", shown], check=True)
