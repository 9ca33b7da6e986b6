"""The server may die at any time: containers go on, and are adopted. Last, because it interrupts everybody."""

import os

from harness import Failure, equal, fetch, pod_yaml, scenario, shell, web


@scenario(clients=["knarr"])
def containers_outlive_the_server(k):
    k.create(pod_yaml("clock", shell("c", "i=0; while true; do echo tick $i; i=$((i+1)); sleep 0.2; done")))
    k.create(pod_yaml("web", web()))
    k.create(pod_yaml("ends", shell("c", "sleep 3; exit 9"), "restartPolicy: Never"))
    ip = k.ready("web")["status"]["podIP"]
    k.ready("clock")
    k.ready("ends")
    before = {name: k.container(name)["containerID"] for name in ("clock", "web", "ends")}
    k.cluster.kill()
    equal(fetch(ip + ":8080", "/hostname"), (200, "web\n"))
    import time  # pylint: disable=import-outside-toplevel
    time.sleep(4)  # the exit of "ends" falls into the time without a server: that is the case
    k.cluster.start()
    k.wait("the exit was not lost", lambda: k.pod("ends")["status"]["phase"] == "Failed")
    equal(k.container("ends")["state"]["terminated"]["exitCode"], 9)
    for name in ("clock", "web"):
        k.ready(name)
        status = k.container(name)
        equal((status["containerID"], status["restartCount"]), (before[name], 0), name)
    lines = k.ok("logs clock").out.splitlines()
    equal(lines, [f"tick {i}" for i in range(len(lines))], "the log has no gap")
    if len(lines) < 20:
        raise Failure(f"the log stopped: {lines}")
    equal(fetch(ip + ":8080", "/hostname"), (200, "web\n"))
    k.ok("exec clock -- true")


@scenario(clients=["knarr"])
def a_stop_leaves_pods_running(k):
    k.create(pod_yaml("web", web()))
    ip = k.ready("web")["status"]["podIP"]
    identity = k.container("web")["containerID"]
    equal(k.cluster.stop(), 0, "exit code")
    equal(fetch(ip + ":8080", "/hostname"), (200, "web\n"))
    k.cluster.start()
    k.ready("web")
    equal(k.container("web")["containerID"], identity)


@scenario(clients=["knarr"])
def a_kubeconfig_is_merged(k):
    path = k.cluster.kubeconfig
    other = ["kubectl", "config", "set-context", "mine", "--cluster=elsewhere", "--kubeconfig", path]
    if k.cluster.run(other).code != 0:
        raise Failure("kubectl config set-context")
    k.cluster.stop()
    k.cluster.start()
    with open(path, encoding="utf-8") as file:
        text = file.read()
    equal("name: mine" in text and "name: knarr" in text, True, text)
    equal(os.stat(path).st_mode & 0o777, 0o600)
