"""The server may die at any time: containers go on, and are adopted. Last, because it interrupts everybody."""

import os

from harness import Failure, equal, fetch, pod_yaml, scenario, shell, web
from test_user_namespaces import first_id, supported


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
def users_of_pods_outlive_the_server(k):
    supported(k)
    for name in ("a", "b"):
        script = "while [ ! -e /tmp/end ]; do sleep 0.1; done"
        k.create(pod_yaml(name, shell("c", script), "hostUsers: false"))
    for name in ("a", "b"):
        k.ready(name)
    before = {name: first_id(k, name) for name in ("a", "b")}
    k.cluster.kill()
    k.cluster.start()
    k.create(pod_yaml("c", shell("c", "exec sleep 1000"), "hostUsers: false"))
    for name in ("a", "b", "c"):
        k.ready(name)
    for name in ("a", "b"):
        equal((first_id(k, name), k.container(name)["restartCount"]), (before[name], 0), name)
    equal(len({first_id(k, name) for name in ("a", "b", "c")}), 3, "they are different")
    # What ends is begun anew by the same users.
    k.any("exec a -- touch /tmp/end")
    k.wait("a container made anew", lambda: k.container("a")["restartCount"] == 1)
    k.ready("a")
    equal(first_id(k, "a"), before["a"])


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
