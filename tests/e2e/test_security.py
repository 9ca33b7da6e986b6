"""Security contexts: groups, seccomp, sysctls, /proc, and what the node refuses."""

import os

from harness import equal, pod_yaml, scenario, shell

SLEEP = "exec sleep 1000"


@scenario(clients=["knarr"])
def groups_of_a_pod_and_its_volumes(k):
    k.ok("create secret generic keys --from-literal=password=s3cret")
    spec = ("securityContext: {runAsUser: 1000, runAsGroup: 3000, fsGroup: 2000, supplementalGroups: [4000]}\n"
            "volumes:\n- name: v\n  emptyDir: {}\n- name: m\n  emptyDir: {medium: Memory}\n"
            "- name: keys\n  secret: {secretName: keys, defaultMode: 0400}")
    mounts = ("volumeMounts:\n- {name: v, mountPath: /v}\n- {name: m, mountPath: /m}\n- {name: keys, mountPath: /keys}")
    script = ("set -e; id -u; id -g; id -G; stat -c '%g %a' /v /m; echo x >/v/x; stat -c %g /v/x; cat /keys/password\n"
              "echo; stat -L -c '%g %a' /keys/password; exec sleep 1000")
    k.create(pod_yaml("grouped", shell("c", script, mounts), spec))
    k.ready("grouped")
    k.wait("what it sees", lambda: k.ok("logs grouped").out ==
           "1000\n3000\n3000 2000 4000\n2000 2777\n2000 2777\n2000\ns3cret\n2000 440\n")


@scenario(clients=["knarr"])
def seccomp_profiles(k):
    ask = "grep Seccomp: /proc/self/status; unshare -U true 2>&1; mkdir /tmp/x 2>&1; " + SLEEP

    def pod(name, profile):
        k.create(pod_yaml(name, shell("c", ask, f"securityContext:\n  seccompProfile: {profile}")))

    pod("default", "{type: RuntimeDefault}")
    pod("none", "{type: Unconfined}")
    folder = os.path.join(k.cluster.data, "seccomp")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "no-mkdir.json"), "w", encoding="utf-8") as file:
        file.write('{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], '
                   '"action": "SCMP_ACT_ERRNO"}]}')
    pod("own", "{type: Localhost, localhostProfile: no-mkdir.json}")
    pod("missing", "{type: Localhost, localhostProfile: other.json}")
    for name in ("default", "none", "own"):
        k.ready(name)
    k.wait("RuntimeDefault", lambda: k.ok("logs default").has(r"Seccomp:\s+2", "unshare.*not permitted"))
    k.ok("logs default").lacks("mkdir")
    k.wait("Unconfined", lambda: k.ok("logs none").has(r"Seccomp:\s+0"))
    k.wait("Localhost", lambda: k.ok("logs own").has(r"Seccomp:\s+2", "mkdir.*not permitted"))
    k.event(r"Failed Error: .*cannot load seccomp profile .*other.json")


@scenario(clients=["knarr"])
def sysctls(k):
    def pod(name, sysctl, more=""):
        spec = f"securityContext:\n  sysctls:\n  - {sysctl}\n{more}"
        k.create(pod_yaml(name, shell("c", f"cat /proc/sys/net/ipv4/tcp_fin_timeout; {SLEEP}"), spec))

    pod("safe", "{name: net.ipv4.tcp_fin_timeout, value: '17'}")
    k.ready("safe")
    k.wait("it is set", lambda: k.ok("logs safe").out == "17\n")
    pod("unsafe", "{name: kernel.msgmax, value: '65536'}")
    k.wait("it is refused", lambda: k.pod("unsafe")["status"]["phase"] == "Failed")
    status = k.pod("unsafe")["status"]
    equal((status["reason"], status["message"]),
          ("SysctlForbidden", 'Pod was rejected: forbidden sysctl: "kernel.msgmax" not allowlisted'))
    k.event(r'SysctlForbidden forbidden sysctl: "kernel.msgmax" not allowlisted')
    k.ok("get pods").has(r"^unsafe\s+0/1\s+SysctlForbidden")


@scenario(clients=["knarr"])
def proc_and_app_armor(k):
    script = "grep -c ' /proc/sys ro,' /proc/self/mountinfo; " + SLEEP
    k.create(pod_yaml("masked", shell("c", script)))
    k.ready("masked")
    k.wait("masked", lambda: k.ok("logs masked").out == "1\n")
    if os.path.exists("/sys/module/apparmor"):
        return
    profile = "securityContext:\n  appArmorProfile: {type: RuntimeDefault}"
    k.create(pod_yaml("armored", shell("c", SLEEP), profile))
    k.wait("it is refused", lambda: k.pod("armored")["status"].get("reason") == "AppArmor")
    equal(k.pod("armored")["status"]["message"],
          "Pod was rejected: Cannot enforce AppArmor: AppArmor is not enabled on the host")
