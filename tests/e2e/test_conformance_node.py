"""What conformance asks of pods' lives: environment, commands, hooks, init containers, last words, security, probes."""

import json
import re

from conformance import (apply, behaviour, config_map, create, ended, hello, job, judge, mount, pod, printed,
                         results, secret, sh)
from harness import Failure, NODE, NODE_IP, equal, fetch, wait_until

SLEEP = "exec sleep 1000"
TRAP = "trap 'exit 0' TERM; while :; do sleep 0.1; done"


def every(*containers):
    """Prints the environment, a variable a line; a shell would leave out what it has no name for."""
    return [{"name": name, "image": "busybox", "imagePullPolicy": "Never", "command": ["env"]} | more
            for name, more in containers]


def from_field(name, path):
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def from_resource(name, resource):
    return {"name": name, "valueFrom": {"resourceFieldRef": {"resource": resource}}}


# ---- Environment ----

SOURCES = {"[sig-node] ConfigMap ": ("should be consumable via environment variable",
                                     "should be consumable via the environment",
                                     "should be consumable as environment variable names with various prefixes"),
           "[sig-node] Secrets ": ("should be consumable from pods in env vars", "should be consumable via the environment",
                                   "should be consumable as environment variable names variable names with various "
                                   "prefixes")}


@behaviour(*(prefix + rest for prefix, names in SOURCES.items() for rest in names))
def environment_of_objects(k):
    create(k, config_map("map", {"data-1": "m1", "data_2": "m2"}), secret("keys", {"data-1": "s1", "data_2": "s2"}))
    one = [{"name": "MAP", "valueFrom": {"configMapKeyRef": {"name": "map", "key": "data-1"}}},
           {"name": "KEYS", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "data-1"}}}]
    both = [{"configMapRef": {"name": "map"}}, {"configMapRef": {"name": "map"}, "prefix": "p-map-"},
            {"secretRef": {"name": "keys"}, "prefix": "#secret."}]
    create(k, job("reader", *every(("c", {"env": one, "envFrom": both}))),
           job("other", *every(("c", {"envFrom": [{"secretRef": {"name": "keys"}}]}))))
    got = results(k, "reader") | {f"other {key}": value for key, value in results(k, "other").items()}
    wants = ({"MAP": "m1"}, {"data-1": "m1", "data_2": "m2"}, {"p-map-data-1": "m1", "p-map-data_2": "m2"},
             {"KEYS": "s1"}, {"other data-1": "s1", "other data_2": "s2"}, {"#secret.data-1": "s1", "#secret.data_2": "s2"})
    names = [prefix + rest for prefix, rests in SOURCES.items() for rest in rests]
    judge(got, dict(zip(names, wants)))


DOWNWARD = "[sig-node] Downward API should provide "
EXPANSION = "[sig-node] Variable Expansion should allow "


@behaviour(DOWNWARD + "container's limits.cpu/memory and requests.cpu/memory as env vars",
           DOWNWARD + "default limits.cpu/memory from node allocatable", DOWNWARD + "host IP as an env var",
           DOWNWARD + "hostIPs as an env var", DOWNWARD + "pod UID as env vars",
           DOWNWARD + "pod name, namespace and IP address as env vars",
           EXPANSION + "composing env vars into new env vars", EXPANSION + "substituting values in a container's args",
           EXPANSION + "substituting values in a container's command")
def environment_of_the_pod_itself(k):
    fields = [from_field("NAME", "metadata.name"), from_field("NS", "metadata.namespace"),
              from_field("UID_", "metadata.uid"), from_field("IP", "status.podIP"), from_field("HOST", "status.hostIP"),
              from_field("HOSTS", "status.hostIPs"), {"name": "BOTH", "value": "$(NAME)-$(NS)-$(NONE)-$$(NAME)"}]
    amounts = [from_resource(name.upper().replace(".", "_"), name)
               for name in ("limits.cpu", "limits.memory", "requests.cpu", "requests.memory")]
    resources = {"limits": {"cpu": "1250m", "memory": "64Mi"}, "requests": {"cpu": "10m", "memory": "32Mi"}}
    args = {"name": "c", "image": "busybox", "imagePullPolicy": "Never", "env": fields,
            "command": ["sh", "-c"], "args": ["echo args=$(NAME)"]}
    command = {"name": "d", "image": "busybox", "imagePullPolicy": "Never", "env": fields,
               "command": ["echo", "command=$(NAME)"]}
    create(k, job("fields", *every(("c", {"env": fields + amounts, "resources": resources}))),
           job("free", *every(("c", {"env": amounts}))), job("expands", args, command))
    got = results(k, "fields") | {f"free {key}": value for key, value in results(k, "free").items()} | \
        results(k, "expands")
    allocatable = k.object(f"node {NODE}")["status"]["allocatable"]
    uid = k.pod("fields")["metadata"]["uid"]
    judge(got, {
        DOWNWARD + "container's limits.cpu/memory and requests.cpu/memory as env vars":
            {"LIMITS_CPU": "2", "LIMITS_MEMORY": str(64 << 20), "REQUESTS_CPU": "1", "REQUESTS_MEMORY": str(32 << 20)},
        DOWNWARD + "default limits.cpu/memory from node allocatable":
            {"free LIMITS_CPU": allocatable["cpu"],
             "free LIMITS_MEMORY": str(int(allocatable["memory"].removesuffix("Ki")) << 10)},
        DOWNWARD + "host IP as an env var": {"HOST": NODE_IP}, DOWNWARD + "hostIPs as an env var": {"HOSTS": NODE_IP},
        DOWNWARD + "pod UID as env vars": {"UID_": uid},
        DOWNWARD + "pod name, namespace and IP address as env vars":
            {"NAME": "fields", "NS": k.namespace, "IP": lambda ip: re.fullmatch(r"10\.88\.\d+\.\d+", ip)},
        EXPANSION + "composing env vars into new env vars": {"BOTH": f"fields-{k.namespace}-$(NONE)-$(NAME)"},
        EXPANSION + "substituting values in a container's args": {"args": "expands"},
        EXPANSION + "substituting values in a container's command": {"command": "expands"}})


@behaviour("[sig-node] Pods should contain environment variables for services")
def environment_of_services(k):
    create(k, {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "foo-service"},
               "spec": {"selector": {"app": "x"}, "ports": [{"port": 8765, "targetPort": 8080}]}})
    ip = k.object("service foo-service")["spec"]["clusterIP"]

    def told():
        k.any("delete pod reader")
        create(k, job("reader", *every(("c", {}))))
        return results(k, "reader").get("FOO_SERVICE_SERVICE_HOST")

    k.wait("the variables", told)
    want = {"HOST": ip, "PORT": "8765"}
    got = printed(k, "reader")
    equal({key: got.get("FOO_SERVICE_SERVICE_" + key) for key in want}, want)
    equal(got["FOO_SERVICE_PORT_8765_TCP"], f"tcp://{ip}:8765")


# ---- What runs, and how it ends ----

CONTAINERS = "[sig-node] Containers should "


@behaviour(CONTAINERS + "use the image defaults if command and args are blank",
           CONTAINERS + "be able to override the image's default arguments (container cmd)",
           CONTAINERS + "be able to override the image's default command (container entrypoint)",
           CONTAINERS + "be able to override the image's default command and arguments")
def commands_and_arguments(k):
    image = {"name": "c", "image": "knarr/hello:1", "imagePullPolicy": "Never"}
    shell = {"name": "c", "image": "busybox", "imagePullPolicy": "Never"}
    create(k, pod("blank", image), job("args", image | {"args": ["--exit-after", "1", "--exit-code", "7"]}),
           job("no-entrypoint", shell | {"args": ["echo", "override", "arguments"]}),
           job("command", shell | {"command": ["/bin/echo", "command"]}),
           job("both", image | {"command": ["/hello"], "args": ["--exit-after", "1", "--exit-code", "9"]}))
    address = k.ready("blank")["status"]["podIP"]
    wait_until("it serves", lambda: fetch(address + ":8080", "/hostname") == (200, "blank\n"))
    for name, code in (("args", 7), ("both", 9)):
        ended(k, name, "Failed")
        equal(k.container(name)["state"]["terminated"]["exitCode"], code, name)
    for name, text in (("no-entrypoint", "override arguments\n"), ("command", "command\n")):
        ended(k, name)
        equal(k.ok(f"logs {name}").out, text)


RUNTIME = "[sig-node] Container Runtime blackbox test "
WORDS = RUNTIME + "on terminated container should report termination message "


@behaviour(RUNTIME + "when starting a container that exits should run with the expected status",
           WORDS + "as empty when pod succeeds and TerminationMessagePolicy FallbackToLogsOnError is set",
           WORDS + "from file when pod succeeds and TerminationMessagePolicy FallbackToLogsOnError is set",
           WORDS + "from log output if TerminationMessagePolicy FallbackToLogsOnError is set",
           WORDS + "if TerminationMessagePath is set as non-root user and at a non-default path")
def ends_of_containers(k):
    policy = {"terminationMessagePolicy": "FallbackToLogsOnError"}
    create(k, job("empty", sh("c", "echo talk; exit 0", **policy)),
           job("file", sh("c", "echo talk; printf OK >/dev/termination-log; exit 0", **policy)),
           job("log", sh("c", "printf DONE; exit 1", **policy)),
           job("own", sh("c", "printf DONE >/dev/own-log", terminationMessagePath="/dev/own-log",
                         securityContext={"runAsUser": 1000})))
    once = "echo x >>/v/runs; [ $(wc -l </v/runs) -gt 1 ]"
    volumes = [{"name": "v", "emptyDir": {}}]
    create(k, *(pod("run-" + policy.lower(), sh("c", f"{once} && {SLEEP}; exit 1", volumeMounts=[mount("v", "/v")]),
                    volumes=volumes, restartPolicy=policy) for policy in ("Always", "OnFailure", "Never")))
    for name, phase in (("empty", "Succeeded"), ("file", "Succeeded"), ("log", "Failed"), ("own", "Succeeded")):
        ended(k, name, phase)

    def words(name):
        return k.container(name)["state"]["terminated"].get("message", "")

    judge({name: words(name) for name in ("empty", "file", "log", "own")}, {
        WORDS + "as empty …": {"empty": ""}, WORDS + "from file …": {"file": "OK"},
        WORDS + "from log output …": {"log": "DONE"}, WORDS + "if TerminationMessagePath …": {"own": "DONE"}})
    for name in ("run-always", "run-onfailure"):
        k.wait(f"{name} runs again", lambda: k.container(name)["restartCount"] == 1 and
               "running" in k.container(name)["state"])
        equal((k.pod(name)["status"]["phase"], k.ready(name) is not None), ("Running", True), name)
    status = ended(k, "run-never", "Failed")["status"]["containerStatuses"][0]
    equal((status["restartCount"], status["ready"], status["state"]["terminated"]["reason"]), (0, False, "Error"))


KUBELET = "[sig-node] Kubelet when scheduling "


@behaviour(KUBELET + "a busybox command in a pod should print the output to logs",
           KUBELET + "a busybox command that always fails in a pod should be possible to delete",
           KUBELET + "a busybox command that always fails in a pod should have an terminated reason",
           KUBELET + "a read only busybox container should not write to root filesystem",
           KUBELET + "an agnhost Pod with hostAliases should write entries to /etc/hosts",
           "[sig-node] Security Context When creating a pod with readOnlyRootFilesystem should run the container with "
           "writable rootfs when readOnlyRootFilesystem=false")
def what_a_kubelet_does(k):
    read_only = {"securityContext": {"readOnlyRootFilesystem": True}}
    create(k, job("prints", sh("c", "echo 'Hello World'")), pod("fails", sh("c", "exit 1")),
           job("fixed", sh("ro", "echo text >/file || echo ro=refused", **read_only),
               sh("rw", "echo text >/file && echo rw=$(cat /file)", securityContext={"readOnlyRootFilesystem": False})),
           job("aliases", sh("c", "cat /etc/hosts"),
               hostAliases=[{"ip": "123.45.67.89", "hostnames": ["foo", "bar"]}]))
    judge(results(k, "fixed"), {KUBELET + "a read only …": {"ro": "refused"}, "readOnlyRootFilesystem=false": {"rw": "text"}})
    ended(k, "prints")
    equal(k.ok("logs prints").out, "Hello World\n")
    ended(k, "aliases")
    k.ok("logs aliases").has(r"^123\.45\.67\.89\s+foo\s+bar$")
    k.wait("a reason", lambda: (k.container("fails").get("lastState", {}).get("terminated") or
                                k.container("fails")["state"].get("terminated", {})).get("reason") == "Error")
    k.ok("delete pod fails --wait=false")
    k.gone("pod fails", 20)


@behaviour("[sig-node] KubeletManagedEtcHosts should test kubelet managed /etc/hosts file")
def hosts_files(k):
    marker = "# Kubernetes-managed hosts file"
    volumes = [{"name": "own", "hostPath": {"path": "/etc/hosts", "type": "File"}}]
    script = "cat /etc/hosts; " + SLEEP
    create(k, pod("managed", sh("plain", script), sh("mounted", script, volumeMounts=[mount("own", "/etc/hosts")]),
                  volumes=volumes),
           pod("far", sh("plain", script), hostNetwork=True))
    k.ready("managed")
    k.ready("far")
    k.wait("both have spoken", lambda: k.ok("logs managed -c plain").out and k.ok("logs far").out)
    k.ok("logs managed -c plain").has("^" + marker, r"^10\.88\.\d+\.\d+\s+managed$")
    k.ok("logs managed -c mounted").lacks(marker)
    k.ok("logs far").lacks("^" + marker + r"\.$")


# ---- Init containers ----

INIT = "[sig-node] InitContainer [NodeConformance] should "


@behaviour(INIT + "invoke init containers on a RestartAlways pod", INIT + "invoke init containers on a RestartNever pod",
           INIT + "not start app containers and fail the pod if init containers fail on a RestartNever pod",
           INIT + "not start app containers if init containers fail on a RestartAlways pod")
def init_containers(k):
    good = [sh("init1", "true"), sh("init2", "true")]
    bad = [sh("init1", "true"), sh("init2", "exit 1")]
    create(k, pod("always", sh("c", SLEEP), initContainers=good), job("never", sh("c", "true"), initContainers=good),
           job("bad-never", sh("c", "true"), initContainers=bad),
           pod("bad-always", sh("c", SLEEP), initContainers=[sh("init1", "exit 1"), sh("init2", "true")]))

    def initialized(status):
        return next(c for c in status["conditions"] if c["type"] == "Initialized")

    for name, status in (("always", k.ready("always")["status"]), ("never", ended(k, "never")["status"])):
        equal(initialized(status)["status"], "True", name)
        for one in status["initContainerStatuses"]:
            equal((one["ready"], one["state"]["terminated"]["exitCode"]), (True, 0), f"{name} {one['name']}")
    status = ended(k, "bad-never", "Failed")["status"]
    equal((initialized(status)["reason"], initialized(status)["message"]),
          ("ContainersNotInitialized", "containers with incomplete status: [init2]"))
    equal(status["containerStatuses"][0]["state"]["waiting"]["reason"], "PodInitializing")

    def restarted():
        now = k.pod("bad-always")["status"]
        one = now["initContainerStatuses"]
        return one[0]["restartCount"] >= 2 and now

    status = k.wait("the first init container is tried again", restarted, 60)
    equal(status["phase"], "Pending")
    equal((status["initContainerStatuses"][1]["state"]["waiting"]["reason"],
           status["containerStatuses"][0]["state"]["waiting"]["reason"]), ("PodInitializing", "PodInitializing"))
    equal(initialized(status)["message"], "containers with incomplete status: [init1 init2]")


# ---- Hooks ----

HOOK = "[sig-node] Container Lifecycle Hook when create a pod with lifecycle hook should execute "


@behaviour(HOOK + "poststart exec hook properly", HOOK + "poststart http hook properly",
           HOOK + "prestop exec hook properly", HOOK + "prestop http hook properly",
           "[sig-node] PreStop should call prestop when killing a pod")
def hooks(k):
    create(k, pod("target", sh("c", "mkdir -p /www/hook; cd /www/hook; touch post pre exec-post exec-pre\n"
                                    "exec httpd -f -vv -p 8080 -h /www")))
    ip = k.ready("target")["status"]["podIP"]
    wait_until("it serves", lambda: fetch(f"{ip}:8080", "/hook/post")[0] == 200)

    def http(path):
        return {"httpGet": {"path": "/hook/" + path, "host": ip, "port": 8080}}

    def run(path):
        return {"exec": {"command": ["wget", "-q", "-O", "-", f"http://{ip}:8080/hook/{path}"]}}

    create(k, pod("http", sh("c", TRAP, lifecycle={"postStart": http("post"), "preStop": http("pre")})),
           pod("exec", sh("c", TRAP, lifecycle={"postStart": run("exec-post"), "preStop": run("exec-pre")})))

    def asked(path):
        return f"/hook/{path}" in k.ok("logs target").out.replace(f"{ip}:8080", "")

    k.ok("exec target -- true")
    before = k.ok("logs target").out
    for name in ("http", "exec"):
        k.ready(name)
    k.wait("poststart exec", lambda: asked("exec-post"))
    equal((asked("pre"), asked("exec-pre")), (False, False), before)
    k.ok("delete pod http exec --wait=false")
    for name, path in (("prestop http hook properly", "pre"), ("prestop exec hook properly", "exec-pre")):
        k.wait(HOOK + name, lambda: asked(path))
    # One by the test itself, and one by the hook.
    equal(k.ok("logs target").out.count("/hook/post"), 2, HOOK + "poststart http hook properly")


# ---- Security ----

SECURITY = "[sig-node] Security Context "


@behaviour(SECURITY + "When creating a container with runAsUser should run the container with uid 65534",
           SECURITY + "When creating a pod with privileged should run the container as unprivileged when false",
           SECURITY + "should support container.SecurityContext.RunAsUser And container.SecurityContext.RunAsGroup",
           SECURITY + "should support pod.Spec.SecurityContext.RunAsUser And pod.Spec.SecurityContext.RunAsGroup",
           SECURITY + "when creating containers with AllowPrivilegeEscalation should not allow privilege escalation when "
                      "false")
def security_contexts(k):
    script = "echo uid=$(id -u); echo gid=$(id -g); echo link=$(ip link add dummy0 type dummy 2>&1 | head -1)\n" \
             "echo nnp=$(grep NoNewPrivs /proc/self/status | cut -f2)"

    def one(name, **context):
        return sh(name, script, securityContext=context)

    create(k, job("own", one("nobody", runAsUser=65534), one("plain", privileged=False),
                  one("both", runAsUser=1001, runAsGroup=2002), one("kept", runAsUser=1000, allowPrivilegeEscalation=False),
                  securityContext={"runAsUser": 0}),
           job("pods", sh("c", script), securityContext={"runAsUser": 1003, "runAsGroup": 2003}))
    ended(k, "own")
    got = {f"{name} {key}": value for name in ("nobody", "plain", "both", "kept")
           for key, value in printed(k, "own", name).items()} | results(k, "pods")
    judge(got, {
        SECURITY + "… with uid 65534": {"nobody uid": "65534"},
        SECURITY + "… as unprivileged when false": {"plain link": lambda text: "not permitted" in text, "plain nnp": "0"},
        SECURITY + "container RunAsUser and RunAsGroup": {"both uid": "1001", "both gid": "2002"},
        SECURITY + "pod RunAsUser and RunAsGroup": {"uid": "1003", "gid": "2003"},
        SECURITY + "AllowPrivilegeEscalation false": {"kept nnp": "1"}})


SYSCTLS = "[sig-node] Sysctls [LinuxOnly] [NodeConformance] should "


@behaviour(SYSCTLS + "support sysctls", SYSCTLS + "reject invalid sysctls")
def sysctls(k):
    def one(name, *settings):
        return job(name, sh("c", "echo forced=$(cat /proc/sys/kernel/shm_rmid_forced)"),
                   securityContext={"sysctls": [{"name": key, "value": value} for key, value in settings]})

    create(k, one("set", ("kernel.shm_rmid_forced", "1")))
    equal(results(k, "set"), {"forced": "1"})
    text = k.fails("create -f -", json.dumps(
        one("bad", ("foo-", "bar"), ("kernel.shmmax", "100"), ("safe-and-unsafe", "100"), ("bar..", "42")))).err
    for name in ("foo-", "bar.."):
        if f'"{name}"' not in text:
            raise Failure(f"{SYSCTLS}reject invalid sysctls: {name} is not named in\n{text}")
    for name in ("safe-and-unsafe", "kernel.shmmax"):
        if f'Invalid value: "{name}"' in text:
            raise Failure(f"{SYSCTLS}reject invalid sysctls: {name} is no bad name\n{text}")


# ---- Probes ----

PROBING = "[sig-node] Probing container "


def frame(kind, flags, stream, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def grpc_answer(status):
    """What a gRPC server sends whose health service answers so: a connection has one call, so it is always the same."""
    head = b"\x88\x0f\x10\x10application/grpc"
    trailer = b"\x00\x0bgrpc-status\x010"
    text = (frame(4, 0, 0) + frame(4, 1, 0) + frame(1, 4, 1, head) + frame(0, 0, 1, b"\0\0\0\0\2\x08" + bytes([status])) +
            frame(1, 5, 1, trailer))
    return "".join(f"\\{byte:03o}" for byte in text)


GRPC = ("cat >/tmp/serve <<'X'\n#!/bin/sh\nhead -c 80 >/dev/null; sleep 0.1\n"
        f"if [ -e /tmp/sick ]; then printf '{grpc_answer(2)}'; else printf '{grpc_answer(1)}'; fi\n"
        "timeout 1 cat >/dev/null\nX\nchmod +x /tmp/serve; nc -ll -p 5000 -e /tmp/serve &\n")


def probed(name, script, probe, kind="livenessProbe", **more):
    fast = {"initialDelaySeconds": 1, "periodSeconds": 1, "failureThreshold": 1, "timeoutSeconds": 3}
    return pod(name, sh("c", script, **{kind: fast | probe | more}))


@behaviour(PROBING + "should be restarted with a /healthz http liveness probe",
           PROBING + "should be restarted with a GRPC liveness probe",
           PROBING + 'should be restarted with a exec "cat /tmp/health" liveness probe',
           PROBING + "should *not* be restarted with a /healthz http liveness probe",
           PROBING + "should *not* be restarted with a GRPC liveness probe",
           PROBING + 'should *not* be restarted with a exec "cat /tmp/health" liveness probe',
           PROBING + "should *not* be restarted with a tcp:8080 liveness probe",
           PROBING + "with readiness probe should not be ready before initial delay and never restart",
           PROBING + "with readiness probe that fails should never be ready and never restart")
def probes(k):
    cat = {"exec": {"command": ["cat", "/tmp/health"]}}
    http = {"httpGet": {"path": "/healthz", "port": 8080}}
    grpc = {"grpc": {"port": 5000}}
    tcp = {"tcpSocket": {"port": 8080}}
    serve = "mkdir /www; touch /www/healthz; httpd -p 8080 -h /www; touch /tmp/health\n"
    after = "sleep 4; rm -f /www/healthz /tmp/health; touch /tmp/sick\n" + SLEEP
    sick = {"sick-http": (serve, http), "sick-exec": (serve, cat), "sick-grpc": (GRPC, grpc)}
    well = {"well-http": (serve, http), "well-exec": (serve, cat), "well-grpc": (GRPC, grpc), "well-tcp": (serve, tcp)}
    create(k, *(probed(name, script + after, probe) for name, (script, probe) in sick.items()),
           *(probed(name, script + SLEEP, probe) for name, (script, probe) in well.items()),
           probed("late", SLEEP, {"exec": {"command": ["true"]}}, "readinessProbe", initialDelaySeconds=5),
           probed("never", SLEEP, {"exec": {"command": ["false"]}}, "readinessProbe"))
    status = k.ready("late")["status"]
    began = k.container("late")["state"]["running"]["startedAt"]
    became = next(c for c in status["conditions"] if c["type"] == "Ready")["lastTransitionTime"]
    seconds = [sum(int(part) * unit for part, unit in zip(when[11:19].split(":"), (3600, 60, 1))) for when in (began, became)]
    if not 4 <= (seconds[1] - seconds[0]) % 86400 <= 8:
        raise Failure(f"{PROBING}with readiness probe …: began {began}, ready {became}")
    for name in sick:
        k.wait(f"{PROBING}{name} is restarted", lambda: k.container(name)["restartCount"] >= 1, 40)
    k.event(r"Unhealthy Liveness probe failed: service unhealthy \(responded with \"NOT_SERVING\"\)")
    for name in (*well, "late", "never"):
        status = k.container(name)
        equal((status["restartCount"], status["ready"]), (0, name != "never"), f"{PROBING}{name}")


@behaviour(PROBING + "should have monotonically increasing restart count")
def restart_counts(k):
    create(k, probed("again", SLEEP, {"exec": {"command": ["false"]}}))
    seen = [0]

    def third():
        now = k.container("again")["restartCount"]
        if now < seen[-1]:
            raise AssertionError(f"{PROBING}should have monotonically increasing restart count: {seen}, {now}")
        seen.append(now)
        return now >= 3

    k.wait("a third restart", third, 90)


# ---- Lives of pods ----

PODS = "[sig-node] Pods "


@behaviour(PODS + "should allow activeDeadlineSeconds to be updated", PODS + "should be submitted and removed",
           PODS + "should be updated", PODS + "should get a host IP", PODS + "should delete a collection of pods",
           "[sig-node] Pods Extended Pods Set QOS Class should be set on Pods with matching resource requests and limits "
           "for memory and cpu")
def lives_of_pods(k):
    limits = {"cpu": "100m", "memory": "32Mi"}
    create(k, pod("short", sh("c", TRAP)), pod("ends", sh("c", TRAP), labels={"time": "1"}),
           pod("exact", sh("c", TRAP, resources={"limits": limits, "requests": limits})),
           *(pod(f"many-{i}", sh("c", TRAP), labels={"type": "many"}) for i in range(3)))
    status = k.ready("exact")["status"]
    equal((status["qosClass"], status["hostIP"]), ("Guaranteed", NODE_IP))
    k.ready("ends")
    k.ok("label pod ends time=2 --overwrite")
    equal(k.ok("get pods -l time=2 -o name").out, "pod/ends\n", PODS + "should be updated")
    equal(k.ok("get pods -l time=1 -o name").out, "", PODS + "should be updated")
    now = k.pod("short")
    now["spec"]["activeDeadlineSeconds"] = 2
    for field in ("managedFields", "resourceVersion"):
        now["metadata"].pop(field, None)
    apply(k, now)
    k.wait(PODS + "should allow activeDeadlineSeconds to be updated",
           lambda: (k.pod("short")["status"]["phase"], k.pod("short")["status"].get("reason")) ==
           ("Failed", "DeadlineExceeded"))
    k.ok("delete pod ends")
    k.gone("pod ends")
    k.ok("delete pods -l type=many")
    equal(k.items("pods -l type=many"), [], PODS + "should delete a collection of pods")


@behaviour("[sig-node] RuntimeClass should reject a Pod requesting a non-existent RuntimeClass",
           "[sig-node] RuntimeClass should reject a Pod requesting a deleted RuntimeClass",
           "[sig-node] RuntimeClass should schedule a Pod requesting a RuntimeClass and initialize its Overhead",
           "[sig-node] RuntimeClass should schedule a Pod requesting a RuntimeClass without PodOverhead")
def runtime_classes(k):
    names = {what: f"{k.namespace}-{what}" for what in ("plain", "heavy", "gone")}
    kind = {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "handler": "crun"}
    try:
        create(k, *(kind | {"metadata": {"name": name}} | ({"overhead": {"podFixed": {"cpu": "10m", "memory": "1Mi"}}}
                    if what == "heavy" else {}) for what, name in names.items()))
        k.ok(f"delete runtimeclass {names['gone']}")
        refused = json.dumps(job("none", sh("c", "true"), runtimeClassName=names["gone"]))
        k.wait("it is refused", lambda: k.any("create -f - --dry-run=server", refused).code == 1)
        k.fails("create -f -", refused).has(rf'pod rejected: RuntimeClass "{names["gone"]}" not found')
        k.fails("create -f -", refused.replace(names["gone"], "nobody")).has('RuntimeClass "nobody" not found')
        create(k, *(job(what, sh("c", "true"), runtimeClassName=names[what]) for what in ("plain", "heavy")))
        equal(ended(k, "heavy")["spec"].get("overhead"), {"cpu": "10m", "memory": "1Mi"})
        equal(ended(k, "plain")["spec"].get("overhead"), None)
    finally:
        k.any("delete runtimeclass " + " ".join((names["plain"], names["heavy"])))
