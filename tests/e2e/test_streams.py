"""B6: attach, port-forward, cp, proxies, and clients that stream over SPDY."""

import glob
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

from harness import Failure, Skip, equal, pod_yaml, scenario, shell, wait_until, web


def old_ways():
    """Ways to stream besides what the kubectl on PATH does by itself: (name, program, environment)."""
    found = shutil.which("kubectl")
    beside = sorted(set(glob.glob(found + ".1.*") + glob.glob(os.path.realpath(found) + ".1.*"))) if found else []
    off = {"KUBECTL_REMOTE_COMMAND_WEBSOCKETS": "false", "KUBECTL_PORT_FORWARD_WEBSOCKETS": "false"}
    ways = [(os.path.basename(program), program, {}) for program in beside]
    if found:
        ways.append(("kubectl without WebSockets", found, off))
    if beside:
        ways.append((os.path.basename(beside[-1]) + " without WebSockets", beside[-1], off))
    if not ways:
        raise Skip("no kubectl on PATH")
    return ways


def start(k, words, program=None, more=None, **options):
    command = (program or k.program) + ["--namespace", k.namespace] + words
    # Where the tests run in the background, the shell had them ignore SIGINT, and children would inherit that.
    return subprocess.Popen(command, env=k.cluster.environment() | (more or {}), text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
                            **options)


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def echo(port, data):
    """What comes back of data from an echo server that ends when its input does."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as one:
        def send():
            one.sendall(data)
            one.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        got = bytearray()
        while part := one.recv(65536):
            got += part
        sender.join()
        return bytes(got)


def check_forwarding(k, pod, program=None, more=None):
    local, closed = free_port(), free_port()
    others = {free_port(): port for port in ECHO_PORTS[1:]}
    forward = start(k, ["port-forward", pod, f"{local}:7000", f"{closed}:7001"] +
                    [f"{here}:{there}" for here, there in others.items()], program, more)
    try:
        def listens():
            if forward.poll() is not None:
                raise RuntimeError(f"port-forward ended: {forward.communicate()}")
            return socket.socket().connect_ex(("127.0.0.1", local)) == 0

        # What the attempts connect to is an echo server: they do no harm.
        wait_until("the port listens", listens, 15)
        equal(echo(local, b"hello"), b"hello", "a few bytes")
        big = os.urandom(2_000_000)
        equal(echo(local, big) == big, True, "many bytes")
        results = []

        def one_of_many(port):
            got = echo(port, big[:200_000])
            results.append(got == big[:200_000] or len(got))

        threads = [threading.Thread(target=one_of_many, args=[port]) for port in others]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        equal(results, [True] * len(others), "connections side by side")
        with socket.create_connection(("127.0.0.1", closed), timeout=10) as one:
            one.settimeout(10)
            try:
                equal(one.recv(10), b"", "nobody listens there")
            except ConnectionResetError:
                pass
    finally:
        forward.send_signal(signal.SIGINT)
        out, err = forward.communicate(timeout=20)
    if f"Forwarding from 127.0.0.1:{local} -> 7000" not in out or f"Handling connection for {local}" not in out:
        raise Failure(f"{out!r} {err!r}")
    if not re.search(rf"an error occurred forwarding {closed} -> 7001: .*refused", err):
        raise Failure(f"{out!r} {err!r}")


def attach_and_say(k, pod, word, program=None, more=None):
    """Says a word to a container that answers "got" and the word, and leaves it: its input goes on without us."""
    child = start(k, ["attach", "-i", pod], program, more, stdin=subprocess.PIPE)
    child.stdin.write(word + "\n")
    child.stdin.flush()
    answer = child.stdout.readline()
    out, err = child.communicate(timeout=20)
    equal((child.returncode, answer + out), (0, f"got {word}\n"), f"{program}: {err}")


# A listener for each of what is connected at once: busybox' nc hardly queues connections.
ECHO_PORTS = [7000] + list(range(7002, 7010))
ECHO = shell("c", f"for p in {' '.join(map(str, ECHO_PORTS))}; do nc -ll -p $p -e cat & done; wait")


@scenario()
def port_forward(k):
    k.create(pod_yaml("echo", ECHO))
    k.ready("echo")
    check_forwarding(k, "pod/echo")
    k.fails("port-forward nobody 80").has(r'pods "nobody" not found')


@scenario()
def port_forward_to_a_service(k):
    k.create(pod_yaml("site", web(more="ports:\n- name: http\n  containerPort: 8080")))
    k.create("apiVersion: v1\nkind: Service\nmetadata: {name: site}\nspec:\n  selector: {app: test}\n"
             "  ports: [{name: web, port: 80, targetPort: http}]\n")
    k.ready("site")
    local = free_port()
    forward = start(k, ["port-forward", "service/site", f"{local}:web"])
    try:
        wait_until("the port listens", lambda: socket.socket().connect_ex(("127.0.0.1", local)) == 0, 15)
        with socket.create_connection(("127.0.0.1", local), timeout=10) as one:
            one.sendall(b"GET / HTTP/1.0\r\n\r\n")
            if not one.recv(100).startswith(b"HTTP/1."):
                raise Failure("the web server's answer expected")
    finally:
        forward.send_signal(signal.SIGINT)
        forward.communicate(timeout=20)


@scenario(clients=["kubectl"])
def other_kubectls(k):
    """Versions that know only SPDY, and new ones that are told to use it."""
    ways = old_ways()
    k.create(pod_yaml("echo", ECHO))
    k.create(pod_yaml("lines", shell("c", "while read line; do echo got $line; done", "stdin: true")))
    k.ready("echo")
    k.ready("lines")
    for name, program, more in ways:
        def run(words, stdin=None):
            child = start(k, words, [program], more, stdin=subprocess.PIPE)
            out, err = child.communicate(stdin, timeout=30)
            return child.returncode, out, err

        equal(run(["exec", "echo", "--", "hostname"])[:2], (0, "echo\n"), name)
        code, out, err = run(["exec", "echo", "--", "sh", "-c", "echo out; echo err >&2; exit 7"])
        equal((code, out), (7, "out\n"), name)
        if "err\n" not in err:
            raise Failure(f"{name}: {err}")
        big = "x" * 400000
        equal(run(["exec", "-i", "echo", "--", "cat"], big)[1] == big, True, name)
        attach_and_say(k, "lines", name, [program], more)
        check_forwarding(k, "echo", [program], more)


@scenario()
def attach_to_what_runs(k):
    k.create(pod_yaml("talk", shell("c", "while read line; do echo got $line; done", "stdin: true")))
    k.create(pod_yaml("ticks", shell("c", "i=0; while true; do i=$((i+1)); echo tick $i; sleep 0.2; done")))
    k.ready("talk")
    k.ready("ticks")
    for word in ("one", "two"):
        attach_and_say(k, "talk", word)
    child = start(k, ["attach", "ticks"])
    time.sleep(2)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=20)
    if not re.search(r"^tick \d+$", out, re.MULTILINE) or "If you don't see a command prompt" not in err:
        raise Failure(f"{out!r} {err!r}")
    k.ready("ticks")
    k.fails("attach nobody").has(r'pods "nobody" not found')


@scenario()
def run_with_input(k):
    done = k.ok("run once --image=busybox --image-pull-policy=Never --restart=Never -i -q --rm -- sh -c 'cat; echo end'",
                stdin="through the pipe\n", seconds=60)
    done.has("^through the pipe$", "^end$")
    k.gone("pod once")
    k.fails("run sad --image=busybox --image-pull-policy=Never --restart=Never -i -q -- sh -c 'cat >/dev/null; exit 5'",
            stdin="x\n", code=5, seconds=60)


@scenario()
def run_with_a_terminal(k):
    line = "run term --image=busybox --image-pull-policy=Never --restart=Never -it --rm -- sh"
    command = " ".join(k.program + ["-n", k.namespace, line])
    child = subprocess.Popen(["script", "-qec", f"stty rows 33 cols 101; {command}", "/dev/null"], text=True,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             env=k.cluster.environment())
    k.ready("term")
    time.sleep(1)
    out, _ = child.communicate("stty size\necho $((6*7)) answers\nexit\n", timeout=60)
    if "33 101" not in out or "42 answers" not in out:
        raise Failure(repr(out))
    k.gone("pod term")


@scenario()
def copy_files(k):
    k.create(pod_yaml("box", shell("c", "exec sleep 1000")))
    k.ready("box")
    here = os.path.join(k.cluster.work, f"copy-{k.client}")
    os.makedirs(os.path.join(here, "tree", "deep"))
    data = os.urandom(300_000)
    for name in ("a.bin", "tree/b.bin", "tree/deep/" + "long-" * 40 + ".bin"):
        with open(os.path.join(here, name), "wb") as file:
            file.write(data)
    os.chmod(os.path.join(here, "a.bin"), 0o741)
    k.ok(f"cp {here}/a.bin box:/tmp/copied")
    equal(k.ok("exec box -- stat -c '%a %s' /tmp/copied").out, "741 300000\n")
    k.ok(f"cp {here}/tree box:/tmp")
    k.ok(f"cp box:/tmp/tree {here}/back")
    k.ok(f"cp {k.namespace}/box:tmp/copied {here}/again")
    with open(os.path.join(here, "again"), "rb") as file:
        equal(file.read() == data, True, "a file and back")
    equal(subprocess.run(["diff", "-r", f"{here}/tree", f"{here}/back"], check=False).returncode, 0, "a tree and back")
    k.fails(f"cp {here}/nothing box:/tmp/x").has("doesn't exist in local filesystem")
    if k.client == "knarr":  # the real one ends with 0 or 1 here, as its threads happen to run
        k.fails(f"cp box:/nothing {here}/x", code=1).has("nothing")


@scenario()
def proxies(k):
    k.create(pod_yaml("site", web(more="ports:\n- name: http\n  containerPort: 8080")))
    k.create("apiVersion: v1\nkind: Service\nmetadata: {name: site}\nspec:\n  selector: {app: test}\n"
             "  ports: [{name: web, port: 80, targetPort: http}]\n")
    k.ready("site")
    inside = f"/api/v1/namespaces/{k.namespace}"
    for path in ("pods/site/proxy/", "pods/site:8080/proxy/", "pods/http:site:8080/proxy/"):
        k.ok(f"get --raw {inside}/{path}").has("hello|Hello|knarr")
    k.wait("the service has an endpoint", lambda: k.any(f"get --raw {inside}/services/site:web/proxy/").code == 0)
    k.ok(f"get --raw {inside}/services/http:site:80/proxy/").has("hello|Hello|knarr")
    k.fails(f"get --raw {inside}/pods/site:1/proxy/").has("error trying to reach service: .*refused")
    equal(k.ok("get --raw /api/v1/nodes/e2e-node/proxy/healthz").out.strip(), "ok")
    k.ok("get --raw /api/v1/nodes/e2e-node/proxy/pods").has('"kind":"PodList"', '"name":"site"')
    k.ok(f"get --raw /api/v1/nodes/e2e-node/proxy/containerLogs/{k.namespace}/site/web")
