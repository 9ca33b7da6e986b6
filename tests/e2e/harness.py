"""A cluster of its own for end-to-end tests: a knarr server with its own data folder in a network namespace, the
clients that talk to it, and the assertions that scenarios are written with.

A scenario is a function with the decorator @scenario. It gets a Kit: a namespace of its own and one client. It runs
once for each client (the real kubectl and knarr's own), unless it says clients=["knarr"].
"""

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

SCENARIOS = []
BRIDGE = "knarr-e2e0"
CLUSTER_CIDR = "10.88.0.0/16"
SERVICE_CIDR = "10.89.0.0/16"
NODE = "e2e-node"
NODE_IP = "192.0.2.10"
PIDS_MOST = 300


class Failure(AssertionError):
    """What was seen is not what was expected."""


class Skip(Exception):
    """The machine lacks something this scenario needs."""


def scenario(clients=("kubectl", "knarr")):
    def register(function):
        SCENARIOS.append((function, clients))
        return function

    return register


def wait_until(what, check, seconds=30, every=0.1):
    """Calls check() until it returns something true, and returns that; a Failure inside counts as not yet."""
    end = time.monotonic() + seconds
    last = None
    while True:
        try:
            value = check()
            if value:
                return value
            last = value
        except Failure as failure:
            last = failure
        if time.monotonic() > end:
            raise Failure(f"not within {seconds} s: {what}; last seen: {last}")
        time.sleep(every)


class Output:
    """What a command printed."""

    def __init__(self, command, code, out, err):
        self.command, self.code, self.out, self.err = command, code, out, err

    def __repr__(self):
        return f"$ {self.command}\nexit code {self.code}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"

    def has(self, *patterns):
        for pattern in patterns:
            if not re.search(pattern, self.out + self.err, re.MULTILINE):
                raise Failure(f"no match for {pattern!r} in\n{self}")
        return self

    def lacks(self, pattern):
        if re.search(pattern, self.out + self.err, re.MULTILINE):
            raise Failure(f"a match for {pattern!r} in\n{self}")
        return self

    def columns(self, header):
        """The table's rows by name; the header must be this one."""
        lines = [line for line in self.out.splitlines() if line.strip()]
        got = re.split(r"\s{2,}", lines[0].strip()) if lines else []
        if got != header:
            raise Failure(f"columns {header} expected, got {got}\n{self}")
        rows = [re.split(r"\s{2,}", line.strip()) for line in lines[1:]]
        return {row[0]: dict(zip(header, row)) for row in rows}


class Cluster:
    """One knarr server. Killing and starting it again keeps its data folder."""

    def __init__(self, binary, work, port=16443, runtime=None):
        self.binary, self.work, self.runtime = binary, work, runtime
        self.data = os.path.join(work, "data")
        self.kubeconfig = os.path.join(work, "kubeconfig")
        self.log = os.path.join(work, "server.log")
        self.listen = f"127.0.0.1:{port}"
        self.manifests = os.path.join(work, "manifests")
        os.makedirs(self.manifests, exist_ok=True)
        self.process = None

    def flags(self):
        return ["--data-dir", self.data, "--write-kubeconfig", self.kubeconfig, "--bridge", BRIDGE, "--listen",
                self.listen, "--cluster-cidr", CLUSTER_CIDR, "--service-cidr", SERVICE_CIDR,
                *(self.runtime.flags() if self.runtime else [])]

    def start(self):
        with open(self.log, "ab") as log:
            # With the narrowest umask that an administrator may have: pods must not notice.
            self.process = subprocess.Popen(
                [self.binary, "server", *self.flags(), "--node-name", NODE, "--node-ip", NODE_IP,
                 "--pod-manifest-path", self.manifests, "--pod-max-pids", str(PIDS_MOST)], umask=0o077,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, env=self.environment())

        def ready():
            if self.process.poll() is not None:
                raise RuntimeError(f"knarr server ended with {self.process.returncode}:\n{self.tail()}")
            if not os.path.exists(os.path.join(self.data, "kubeconfig")):
                return False
            done = self.run([self.binary, "kubectl", "get", "nodes", "--no-headers"])
            return done.code == 0 and re.search(r"\bReady\b", done.out)

        wait_until("the node is Ready", ready, 30)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        """SIGTERM; the exit code."""
        if self.process is None or self.process.poll() is not None:
            return 0
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failure("knarr server did not end within 20 s of SIGTERM\n" + self.tail()) from None

    def uninstall(self):
        return self.run([self.binary, "uninstall", *self.flags()], seconds=60)

    def tail(self, lines=30):
        with open(self.log, encoding="utf-8", errors="replace") as log:
            return "".join(log.readlines()[-lines:])

    def environment(self):
        keep = {name: os.environ[name] for name in ("PATH", "TMPDIR", "LANG") if name in os.environ}
        return keep | {"HOME": self.work, "KUBECONFIG": self.kubeconfig, "KNARR_DATA_DIR": self.data}

    def run(self, command, stdin=None, seconds=40):
        shown = " ".join(shlex.quote(word) for word in command)
        try:
            done = subprocess.run(command, input=stdin, capture_output=True, text=True, errors="replace",
                                  timeout=seconds, env=self.environment(), check=False)
        except subprocess.TimeoutExpired as late:
            raise Failure(f"no end within {seconds} s: {shown}\n{(late.stdout or b'').decode()}"
                          f"{(late.stderr or b'').decode()}") from None
        return Output(shown, done.returncode, done.stdout, done.stderr)

    def load(self, archive):
        program = self.runtime.load_command() if self.runtime else [self.binary, "docker", "load", "-i"]
        done = self.run([*program, archive])
        if done.code != 0:
            raise Failure(repr(done))
        return done


    def mirror(self, registry, url):
        """Images of the registry come from there."""
        if self.runtime:
            self.runtime.mirror(registry, url)
            return
        with open(os.path.join(self.data, "registries.yaml"), "w", encoding="utf-8") as file:
            file.write(f"mirrors:\n  {registry}:\n    endpoint:\n    - {url}\n")


class Kit:
    """What a scenario works with."""

    def __init__(self, cluster, client, namespace):
        self.cluster, self.client, self.namespace = cluster, client, namespace
        self.program = ["kubectl"] if client == "kubectl" else [cluster.binary, "kubectl"]

    def only_own_engine(self, why):
        """Skips the scenario where pods run in another container runtime."""
        if self.cluster.runtime:
            raise Skip(f"{self.cluster.runtime.name}: {why}")

    # ---- Commands ----

    def any(self, line, stdin=None, seconds=40):
        """Runs `kubectl LINE` in the scenario's namespace; any exit code."""
        words = shlex.split(line) if isinstance(line, str) else list(line)
        # Behind the verb, and before what belongs to a command in a container.
        cut = words.index("--") if "--" in words else len(words)
        words = words[:cut] + ([] if self.cluster_wide(words) else ["--namespace", self.namespace]) + words[cut:]
        return self.cluster.run(self.program + words, stdin, seconds)

    @staticmethod
    def cluster_wide(words):
        flags = ("-n", "--namespace", "-A", "--all-namespaces", "--raw")
        return any(word in flags or word.startswith(("--namespace=", "--raw=")) for word in words)

    def ok(self, line, stdin=None, seconds=40):
        done = self.any(line, stdin, seconds)
        if done.code != 0:
            raise Failure(repr(done))
        return done

    def fails(self, line, stdin=None, code=1, seconds=40):
        done = self.any(line, stdin, seconds)
        if done.code != code:
            raise Failure(f"exit code {code} expected\n{done!r}")
        return done

    def create(self, text):
        return self.ok("create -f -", text)

    def apply(self, text):
        return self.ok("apply -f -", text)

    # ---- What is there ----

    def object(self, line):
        return json.loads(self.ok(f"get {line} -o json").out)

    def items(self, line):
        return self.object(line)["items"]

    def pod(self, name):
        return self.object(f"pod {name}")

    def container(self, pod, name=None):
        """The status of a container."""
        for status in self.pod(pod)["status"].get("containerStatuses", []):
            if name is None or status["name"] == name:
                return status
        raise Failure(f"pod {pod} has no status of container {name}")

    def ready(self, pod, seconds=30):
        def check():
            conditions = self.pod(pod)["status"].get("conditions", [])
            return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)

        self.wait(f"pod {pod} is Ready", check, seconds)
        return self.pod(pod)

    def wait(self, what, check, seconds=30):
        try:
            return wait_until(what, check, seconds)
        except Failure as failure:
            seen = self.any("get pods,events").out
            raise Failure(f"{failure}\n{seen}") from None

    def event(self, pattern, seconds=30):
        """Waits for an event whose "reason message" matches."""
        def check():
            return any(re.search(pattern, f"{e.get('reason')} {e.get('message')}") for e in self.items("events"))

        return self.wait(f"an event that matches {pattern!r}", check, seconds)

    def gone(self, line, seconds=40):
        def check():
            done = self.any(f"get {line}")
            return done.code != 0 and "not found" in done.err

        self.wait(f"{line} is gone", check, seconds)


# ---- Manifests ----


def indent(text, by):
    return "\n".join((" " * by + line) if line else line for line in text.strip("\n").split("\n"))


def pod_yaml(name, containers, spec="", labels="app: test"):
    return f"""apiVersion: v1
kind: Pod
metadata:
  name: {name}
  labels:
{indent(labels, 4)}
spec:
  terminationGracePeriodSeconds: 1
{indent(spec, 2) if spec else ""}
  containers:
{indent(containers, 2)}
"""


def web(name="web", args="[]", more=""):
    """The sample web server as a container."""
    return f"- name: {name}\n  image: knarr/hello:1\n  imagePullPolicy: Never\n  args: {args}\n" + indent(more, 2)


def shell(name, script, more=""):
    """A container that runs a shell script."""
    return (f"- name: {name}\n  image: busybox\n  imagePullPolicy: Never\n  command: [sh, -c]\n  args:\n  - |\n"
            + indent(script, 4) + "\n" + indent(more, 2))


# ---- HTTP ----


def fetch(address, path="/", seconds=3):
    """(status, body); Failure when nobody answers."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://{address}{path}", timeout=seconds) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except (urllib.error.URLError, OSError) as error:
        raise Failure(f"http://{address}{path}: {error}") from None


def refused(host, port):
    """Whether a connection is refused at once, as it is for a Service without endpoints."""
    try:
        socket.create_connection((host, port), timeout=3).close()
    except ConnectionRefusedError:
        return True
    except OSError as error:
        raise Failure(f"{host}:{port}: refusal expected, got {error}") from None
    return False


def kubectl_minor():
    """The minor version of the kubectl on PATH; None when there is none."""
    if shutil.which("kubectl") is None:
        return None
    done = subprocess.run(["kubectl", "version", "--client", "-o", "json"], capture_output=True, text=True, check=False)
    found = re.search(r'"minor":\s*"(\d+)', done.stdout)
    return int(found.group(1)) if found else None


def equal(got, want, what=""):
    if got != want:
        raise Failure(f"{what}: {want!r} expected, got {got!r}")
