"""Hooks, sidecars, restart rules and last words, on real containers."""

import os
import random
import time

from harness import equal, Failure, pod_yaml, scenario, shell

TRAP = "trap 'exit 0' TERM\n"


def kinit(containers):
    """spec.initContainers"""
    return "initContainers:\n" + containers


@scenario(clients=["knarr"])
def post_start_runs_before_the_pod_is_ready(k):
    hook = "lifecycle:\n  postStart:\n    exec:\n      command: [sh, -c, 'sleep 2; echo hook >/proc/1/fd/1']"
    k.create(pod_yaml("hooked", shell("c", "echo main; exec sleep 1000", hook)))
    k.wait("the container runs", lambda: "main" in k.any("logs hooked").out)
    equal(k.pod("hooked")["status"]["phase"], "Pending")
    k.ready("hooked")
    equal(k.ok("logs hooked").out, "main\nhook\n")
    bad = "lifecycle:\n  postStart:\n    exec:\n      command: [sh, -c, 'echo no; exit 5']"
    k.create(pod_yaml("bad", shell("c", "exec sleep 1000", bad)))
    k.event(r"FailedPostStartHook PostStartHook failed")
    k.event(r"Killing FailedPostStartHook")

    def told():
        status = k.container("bad")
        waiting = status["state"].get("waiting", {})
        return status["restartCount"] > 0 and waiting.get("reason") in ("PostStartHookError", "CrashLoopBackOff")

    k.wait("it is tried again, and backs off", told)


@scenario(clients=["knarr"])
def pre_stop_runs_within_the_grace_period(k):
    volume = "volumes:\n- name: v\n  hostPath: {path: /tmp/knarr-e2e-hooks, type: DirectoryOrCreate}"
    more = "volumeMounts:\n- {name: v, mountPath: /v}\nlifecycle:\n  preStop:\n    exec:\n      command: %s"
    script = "trap 'echo term >>/v/%s; exit 0' TERM\nwhile true; do sleep 0.1; done"

    def pod(name, command, grace):
        text = pod_yaml(name, shell("c", script % name, more % command), volume)
        k.create(text.replace("terminationGracePeriodSeconds: 1", f"terminationGracePeriodSeconds: {grace}"))
        k.ready(name)
        begin = time.monotonic()
        k.ok(f"delete pod {name}")
        with open(f"/tmp/knarr-e2e-hooks/{name}", encoding="utf-8") as file:
            return file.read(), time.monotonic() - begin

    try:
        said, took = pod("first", "[sh, -c, 'echo hook >>/v/first; sleep 1']", 30)
        equal(said, "hook\nterm\n")
        if not 1 <= took < 10:
            raise Failure(f"{took} s for a hook of one second")
        said, took = pod("hangs", "[sh, -c, 'echo hook >>/v/hangs; sleep 1000']", 2)
        equal(said, "hook\nterm\n")
        if not 2 <= took < 10:
            raise Failure(f"{took} s for a grace period of two seconds")
        k.event(r"FailedPreStopHook PreStopHook failed")
    finally:
        k.cluster.run(["rm", "-rf", "/tmp/knarr-e2e-hooks"])


@scenario(clients=["knarr"])
def a_pre_stop_hook_outlives_the_agent(k):
    hook = "lifecycle:\n  preStop:\n    sleep: {seconds: 3}"
    text = pod_yaml("slow", shell("c", "exec sleep 1000", hook))
    k.create(text.replace("terminationGracePeriodSeconds: 1", "terminationGracePeriodSeconds: 20"))
    k.ready("slow")
    k.ok("delete pod slow --wait=false")
    k.cluster.kill()
    k.cluster.start()
    k.gone("pod slow")


@scenario(clients=["knarr"])
def sidecars_start_first_and_end_last(k):
    volume = "volumes:\n- name: v\n  hostPath: {path: /tmp/knarr-e2e-sidecars, type: DirectoryOrCreate}"
    always = "restartPolicy: Always\nvolumeMounts:\n- {name: v, mountPath: /v}\n"
    script = "echo {0} starts >>/v/log; trap 'echo {0} ends >>/v/log; exit 0' TERM; while true; do sleep 0.1; done"
    probe = "startupProbe:\n  periodSeconds: 1\n  exec: {command: [test, -e, /v/go]}"
    init = (shell("s1", script.format("s1"), always + probe) + "\n" +
            shell("once", "echo once >>/v/log", "volumeMounts:\n- {name: v, mountPath: /v}") + "\n" +
            shell("s2", script.format("s2"), always))
    main = shell("main", "echo main >>/v/log; while [ ! -e /v/done ]; do sleep 0.1; done",
                 "volumeMounts:\n- {name: v, mountPath: /v}")
    text = pod_yaml("job", main, "restartPolicy: Never\n" + volume + "\n" + kinit(init))
    log = "/tmp/knarr-e2e-sidecars/log"

    def said():
        if not os.path.exists(log):  # nobody has said anything yet
            return []
        with open(log, encoding="utf-8") as file:
            return file.read().split("\n")[:-1]

    try:
        k.create(text.replace("terminationGracePeriodSeconds: 1", "terminationGracePeriodSeconds: 10"))
        k.wait("the first sidecar runs", lambda: k.any("logs job -c s1").code == 0 and said() == ["s1 starts"])
        time.sleep(1)
        equal(said(), ["s1 starts"])
        k.ok("get pods").has(r"^job\s+0/3\s+Init:0/3")
        open("/tmp/knarr-e2e-sidecars/go", "w", encoding="utf-8").close()
        k.ready("job")
        k.wait("all have spoken", lambda: len(said()) == 4)
        # The second sidecar has no startup probe: the main container begins beside it.
        equal(said()[:2] + sorted(said()[2:]), ["s1 starts", "once", "main", "s2 starts"])
        k.ok("get pods").has(r"^job\s+3/3\s+Running")
        open("/tmp/knarr-e2e-sidecars/done", "w", encoding="utf-8").close()
        k.wait("it is over", lambda: k.pod("job")["status"]["phase"] == "Succeeded")
        equal(said()[4:], ["s2 ends", "s1 ends"])
    finally:
        k.cluster.run(["rm", "-rf", "/tmp/knarr-e2e-sidecars"])


@scenario(clients=["knarr"])
def restart_rules_of_a_container(k):
    rules = ("restartPolicy: Never\nrestartPolicyRules:\n- action: Restart\n"
             "  exitCodes: {operator: In, values: [42]}\nvolumeMounts:\n- {name: v, mountPath: /v}")
    script = "echo x >>/v/runs; [ $(wc -l </v/runs) -gt 1 ] && exit 7; exit 42"
    k.create(pod_yaml("rules", shell("c", script, rules), "restartPolicy: Never\nvolumes:\n- {name: v, emptyDir: {}}"))
    k.wait("Failed", lambda: k.pod("rules")["status"]["phase"] == "Failed")
    equal(k.container("rules")["restartCount"], 1)
    equal(k.container("rules")["state"]["terminated"]["exitCode"], 7)


@scenario(clients=["knarr"])
def one_end_may_restart_the_whole_pod(k):
    mount = "volumeMounts:\n- {name: v, mountPath: /v}"
    rules = ("restartPolicy: Never\nrestartPolicyRules:\n- action: RestartAllContainers\n"
             "  exitCodes: {operator: In, values: [88]}\n" + mount)
    init = shell("once", "echo init >>/v/log", mount)
    main = (shell("a", "[ $(grep -c init /v/log) -gt 1 ] && exec sleep 1000; sleep 1; exit 88", rules) + "\n" +
            shell("b", "echo b >>/v/log; exec sleep 1000", mount))
    k.create(pod_yaml("all", main, "restartPolicy: Never\nvolumes:\n- {name: v, emptyDir: {}}\n" + kinit(init)))
    k.wait("begun again", lambda: k.container("all", "a")["restartCount"] == 1)
    status = k.ready("all")["status"]
    equal([s["restartCount"] for s in status["containerStatuses"] + status["initContainerStatuses"]], [1, 1, 1])
    equal(k.ok("exec all -c b -- cat /v/log").out, "init\nb\ninit\nb\n")


@scenario(clients=["knarr"])
def last_words(k):
    k.create(pod_yaml("words", shell("file", "echo -n last >/dev/termination-log; exit 1") + "\n" +
                      shell("own", "echo mine >/tmp/x", "terminationMessagePath: /tmp/x") + "\n" +
                      shell("log", "echo one; echo two >&2; exit 3", "terminationMessagePolicy: FallbackToLogsOnError"),
                      "restartPolicy: Never"))
    k.wait("Failed", lambda: k.pod("words")["status"]["phase"] == "Failed")

    def words(name):
        return k.container("words", name)["state"]["terminated"].get("message")

    equal([words("file"), words("own"), words("log")], ["last", "mine\n", "one\ntwo\n"])


@scenario(clients=["knarr"])
def kills_of_the_agent_lose_and_restart_nothing(k):
    """With hooks, sidecars and host ports under way, at moments that differ from run to run."""
    k.only_own_engine("it gives up a start whose caller is gone")
    dice = random.Random()
    hooks = ("lifecycle:\n  postStart: {exec: {command: [sleep, '0.3']}}\n  preStop: {exec: {command: [sleep, '0.5']}}\n"
             "volumeMounts:\n- {name: v, mountPath: /v, subPath: below}\n")
    loop = "trap 'exit 0' TERM; while true; do sleep 0.1; done"
    names = [f"p{i}" for i in range(4)]
    for i, name in enumerate(names):
        init = (shell("s", loop, "restartPolicy: Always\nstartupProbe:\n  periodSeconds: 1\n  exec: {command: ['true']}") +
                "\n" + shell("once", "sleep 0.2"))
        text = pod_yaml(name, shell("c", loop, hooks + f"ports:\n- {{containerPort: 80, hostPort: {18300 + i}}}"),
                        "volumes:\n- {name: v, emptyDir: {}}\n" + kinit(init))
        k.create(text.replace("terminationGracePeriodSeconds: 1", "terminationGracePeriodSeconds: 5"))

    def kill():
        time.sleep(dice.uniform(0.05, 1.5))
        k.cluster.kill()
        k.cluster.start()

    for _ in range(4):
        kill()
    for name in names:
        status = k.ready(name, 60)["status"]
        # One that was made but not started yet is made again, which counts; but nothing that ran has ended.
        for one in status["containerStatuses"] + status["initContainerStatuses"]:
            if "terminated" in one.get("lastState", {}):
                raise Failure(f"{one['name']} of {name} was started again: {one}")
    for name in names:
        k.ok(f"delete pod {name} --wait=false")
    for _ in range(3):
        kill()
    for name in names:
        k.gone(f"pod {name}", 60)
