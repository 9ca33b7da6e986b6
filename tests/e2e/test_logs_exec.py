"""B6: logs and exec."""

import re
import subprocess
import time

from harness import Failure, equal, pod_yaml, scenario, shell


@scenario()
def logs(k):
    k.create(pod_yaml("talk", shell("c", "for i in 1 2 3 4 5; do echo line $i; done; sleep 2; echo late; exec sleep 1000")))
    k.ready("talk")
    k.wait("five lines", lambda: len(k.ok("logs talk").out.splitlines()) >= 5)
    equal(k.ok("logs talk --tail=2").out.splitlines()[0][:4], "line")
    k.ok("logs talk --timestamps").has(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z line 1$")
    k.wait("the late line", lambda: k.ok("logs talk").out.endswith("late\n"))
    equal(k.ok("logs talk --tail=1").out, "late\n")
    equal(k.ok("logs talk --since=1h").out, "".join(f"line {i}\n" for i in range(1, 6)) + "late\n")
    k.fails("logs talk --previous").has(r'previous terminated container "c" in pod "talk" not found')
    k.fails("logs nobody").has(r'rror from server \(NotFound\): pods "nobody" not found')


@scenario()
def logs_follow_until_the_end(k):
    k.create(pod_yaml("short", shell("c", "for i in 1 2 3; do echo tick $i; sleep 0.5; done"), "restartPolicy: Never"))
    k.wait("started", lambda: k.any("logs short").code == 0)
    equal(k.ok("logs -f short", seconds=20).out, "tick 1\ntick 2\ntick 3\n")


@scenario()
def logs_of_selected_pods(k):
    for name in ("a", "b"):
        k.create(pod_yaml(name, shell("c", f"echo from {name}; exec sleep 1000")))
    k.ready("a")
    k.ready("b")
    k.wait("both", lambda: sorted(k.ok("logs -l app=test").out.splitlines()) == ["from a", "from b"])


@scenario()
def exec_runs_in_the_container(k):
    k.create(pod_yaml("box", shell("c", "exec sleep 1000", "env:\n- name: GREETING\n  value: hello")))
    k.ready("box")
    equal(k.ok("exec box -- hostname").out, "box\n")
    equal(k.ok(["exec", "box", "--", "sh", "-c", "echo $GREETING; echo err >&2"]).out, "hello\n")
    done = k.fails(["exec", "box", "--", "sh", "-c", "exit 42"], code=42)
    if "command terminated with exit code 42" not in done.err:
        raise Failure(repr(done))
    equal(k.ok("exec -i box -- cat", stdin="through the pipe\n").out, "through the pipe\n")
    big = "x" * 300000
    equal(len(k.ok("exec -i box -- cat", stdin=big).out), len(big))
    k.fails("exec box -c nobody -- true").has("nobody")
    k.fails("exec nobody -- true").has(r'pods "nobody" not found')


@scenario()
def exec_with_a_terminal(k):
    k.create(pod_yaml("term", shell("c", "exec sleep 1000")))
    k.ready("term")
    command = " ".join(k.program + ["-n", k.namespace, "exec", "-it", "term", "--", "sh", "-c", "'tty; sleep 1; stty size; exit 5'"])
    done = subprocess.run(["script", "-qec", f"stty rows 33 cols 101; {command}", "/dev/null"], capture_output=True,
                          text=True, timeout=20, env=k.cluster.environment(), stdin=subprocess.DEVNULL, check=False)
    if not re.search(r"/dev/(pts/\d+|console)", done.stdout) or "33 101" not in done.stdout:
        raise Failure(f"a terminal of 33 rows and 101 columns expected: {done.stdout!r} {done.stderr!r}")


@scenario()
def exec_before_the_container_runs(k):
    k.create(pod_yaml("ended", shell("c", "exit 0"), "restartPolicy: Never"))
    k.wait("it ended", lambda: k.pod("ended")["status"]["phase"] == "Succeeded")
    begin = time.monotonic()
    k.fails("exec ended -- true").has(r"completed pod|container not found|not running")
    if time.monotonic() - begin > 5:
        raise Failure("the refusal took more than 5 s")
