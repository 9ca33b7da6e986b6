"""A throwaway cluster to measure: starts `knarr server` in a folder of its own, talks to it, and leaves nothing.

Standard library only. The client is plain HTTP/1.1 over TLS with the kubeconfig's certificate: what a figure holds
beside the server's own time is one round trip on loopback.
"""

import base64
import ctypes
import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
NODE = "bench"
START_SECONDS = 30
PODS = "/api/v1/namespaces/default/pods"


def now():
    return time.perf_counter()


def isolate():
    """Into a network namespace of our own: links, addresses and rules of other clusters here stay untouched."""
    libc = ctypes.CDLL(None, use_errno=True)
    clone_newnet = 0x40000000
    if libc.unshare(clone_newnet) != 0:
        raise OSError(ctypes.get_errno(), "unshare of the network namespace (run as root)")
    for command in ("link set lo up", "link add uplink0 type veth peer name uplink1",
                    "address add 192.0.2.1/24 dev uplink0", "link set uplink1 up", "link set uplink0 up",
                    "route add default via 192.0.2.2 dev uplink0"):
        subprocess.run(["ip", *command.split()], check=True)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def process_memory(pid):
    """PSS in bytes: what is shared is split among those that share it."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        for line in file:
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    raise RuntimeError(f"no PSS of process {pid}")


def process_cpu(pid):
    """Processor seconds of a process, threads that have ended included, to the nanosecond."""
    cpuclock_sched = 2  # as clock_getcpuclockid(3) makes the number
    return time.clock_gettime((~pid << 3) | cpuclock_sched)


def read_link(path):
    try:
        return os.readlink(path)
    except OSError:
        return ""


class Api:
    """One kept connection."""

    def __init__(self, port, context, timeout=60):
        self.connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=timeout)

    def send(self, method, path, body=None):
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        data = json.dumps(body) if body is not None else None
        self.connection.request(method, path, body=data, headers=headers)
        answer = self.connection.getresponse()
        text = answer.read()
        return answer.status, text

    def call(self, method, path, body=None):
        code, text = self.send(method, path, body)
        if code >= 300:
            raise RuntimeError(f"{method} {path}: {code} {text[:300]!r}")
        return json.loads(text)

    def close(self):
        self.connection.close()


class PodWatch:
    """Notes when each pod is first seen scheduled, ready, with a container that has ended, and gone."""

    def __init__(self, port, context):
        self.api = Api(port, context, timeout=None)  # nothing happens for as long as nothing happens
        start = self.api.call("GET", PODS)["metadata"]["resourceVersion"]
        self.api.connection.request("GET", f"{PODS}?watch=true&resourceVersion={start}",
                                    headers={"Accept": "application/json"})
        self.answer = self.api.connection.getresponse()
        if self.answer.status != 200:
            raise RuntimeError(f"watch of pods: {self.answer.status}")
        self.changed = threading.Condition()
        self.times = {"scheduled": {}, "ready": {}, "ended": {}, "gone": {}}
        self.events = 0
        self.failure = None
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        try:
            while line := self.answer.readline():
                self.note(json.loads(line), now())
            raise RuntimeError("the watch of pods ended")
        except Exception as failure:  # told to whoever waits
            with self.changed:
                self.failure = failure
                self.changed.notify_all()

    def note(self, event, when):
        pod = event["object"]
        name = pod["metadata"]["name"]
        conditions = {one["type"]: one["status"] for one in pod.get("status", {}).get("conditions", [])}
        with self.changed:
            self.events += 1
            if event["type"] == "DELETED":
                self.times["gone"].setdefault(name, when)
            if pod["spec"].get("nodeName"):
                self.times["scheduled"].setdefault(name, when)
            if any("terminated" in one.get("state", {}) for one in pod.get("status", {}).get("containerStatuses", [])):
                self.times["ended"].setdefault(name, when)
            if conditions.get("Ready") == "True":
                self.times["ready"].setdefault(name, when)
            self.changed.notify_all()

    def wait(self, what, names, seconds=60):
        seen = self.times[what]
        with self.changed:
            if not self.changed.wait_for(lambda: self.failure or all(name in seen for name in names), seconds):
                missing = [name for name in names if name not in seen]
                raise RuntimeError(f"not {what} after {seconds} s: {' '.join(missing)}")
            if self.failure:
                raise RuntimeError(f"watch of pods: {self.failure}")
            return {name: seen[name] for name in names}


class Cluster:
    """`with Cluster(program) as cluster:` runs one, and uninstalls it however the block ends."""

    def __init__(self, program):
        self.program = os.path.abspath(program)
        self.folder = tempfile.mkdtemp(prefix="knarr-bench-")
        self.data = os.path.join(self.folder, "data")
        self.kubeconfig = os.path.join(self.folder, "kubeconfig")
        self.log_path = os.path.join(self.folder, "log")
        self.port = free_port()
        self.flags = ["--data-dir", self.data, "--listen", f"127.0.0.1:{self.port}", "--write-kubeconfig",
                      self.kubeconfig, "--bridge", "knb0", "--cluster-cidr", "10.66.0.0/16", "--service-cidr",
                      "10.67.0.0/16", "--node-name", NODE]
        self.server = None
        self.context = None

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            print(self.log()[-4000:], file=sys.stderr)
        try:
            self.stop()
            self.uninstall()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def log(self):
        try:
            with open(self.log_path, encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def start(self):
        """Seconds from the program's start to /readyz ok, and to the node Ready."""
        with open(self.log_path, "wb") as log:
            began = now()
            self.server = subprocess.Popen([self.program, "server", *self.flags], stdout=log, stderr=log,
                                           stdin=subprocess.DEVNULL)
        anyone = ssl.create_default_context()
        anyone.check_hostname = False
        anyone.verify_mode = ssl.CERT_NONE
        api = self.until(began, "no connection", lambda: self.connect(anyone))
        self.until(began, "/readyz is not ok", lambda: api.send("GET", "/readyz")[0] == 200)
        ready = now() - began
        api.close()
        self.until(began, "no kubeconfig", lambda: os.path.exists(self.kubeconfig))
        self.context = self.client_context()
        api = self.api()
        self.until(began, "node is not Ready", lambda: self.node_ready(api))
        node = now() - began
        api.close()
        self.until(began, "the start has not ended", self.phases)
        return ready, node

    def until(self, began, what, attempt):
        while True:
            done = attempt()
            if done:
                return done
            if self.server.poll() is not None:
                raise RuntimeError(f"the server ended with {self.server.returncode}")
            if now() - began > START_SECONDS:
                raise RuntimeError(f"{what} after {START_SECONDS} s")
            time.sleep(0.001)

    def connect(self, context):
        api = Api(self.port, context)
        try:
            api.connection.connect()
            return api
        except OSError:
            return None

    def client_context(self):
        with open(self.kubeconfig, encoding="utf-8") as file:
            text = file.read()
        parts = {key: base64.b64decode(re.search(rf"{key}-data: (\S+)", text)[1]).decode("ascii")
                 for key in ("certificate-authority", "client-certificate", "client-key")}
        pair = os.path.join(self.folder, "client.pem")
        with open(os.open(pair, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
            file.write(parts["client-certificate"] + parts["client-key"])
        context = ssl.create_default_context(cadata=parts["certificate-authority"])
        context.load_cert_chain(pair)
        return context

    @staticmethod
    def node_ready(api):
        code, text = api.send("GET", f"/api/v1/nodes/{NODE}")
        if code != 200:
            return False
        conditions = json.loads(text).get("status", {}).get("conditions", [])
        return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)

    def phases(self):
        """What the server's log says of its start: name → milliseconds."""
        found = re.search(r'took=(\S+) phases="([^"]*)"', self.log())
        if not found:
            return {}
        out = {"start": milliseconds(found[1])}
        for one in found[2].split():
            name, _, value = one.partition("=")
            out[name] = milliseconds(value)
        return out

    def api(self):
        return Api(self.port, self.context)

    def watch(self):
        return PodWatch(self.port, self.context)

    def knarr(self, *args, **options):
        environment = dict(os.environ, KUBECONFIG=self.kubeconfig, KNARR_DATA_DIR=self.data)
        return subprocess.run([self.program, *args], env=environment, check=True, capture_output=True, **options)

    def load_images(self):
        maker = os.path.join(ROOT, "tests", "fixtures", "make_images.py")
        subprocess.run(["python3", maker, "--out", self.folder], check=True, stdout=subprocess.DEVNULL)
        for name in ("busybox", "hello"):
            self.knarr("docker", "load", "-i", os.path.join(self.folder, name + ".tar"))

    def processes(self):
        """Our own: the server, and each pod's shim and infra process. The containers' are not among them."""
        shim = os.path.join(os.path.dirname(self.program), "knarr-shim")
        ours = [self.server.pid]
        namespace = read_link("/proc/self/ns/net")
        shims = {int(pid) for pid in os.listdir("/proc")
                 if pid.isdigit() and read_link(f"/proc/{pid}/exe").removesuffix(" (deleted)") == shim}
        mine = {pid for pid in shims if read_link(f"/proc/{pid}/ns/net") == namespace
                and read_link(f"/proc/{pid}/cwd").startswith(self.data)}
        for pid in shims:
            with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
                parent = int(file.read().rpartition(")")[2].split()[1])
            if pid in mine or parent in mine:
                ours.append(pid)
        return ours

    def memory(self):
        return sum(process_memory(pid) for pid in self.processes())

    def stop(self):
        if self.server is None or self.server.poll() is not None:
            return
        self.server.send_signal(signal.SIGTERM)
        try:
            self.server.wait(15)
        except subprocess.TimeoutExpired:
            self.server.kill()
            self.server.wait()

    def uninstall(self):
        done = subprocess.run([self.program, "uninstall", *self.flags], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"uninstall: {done.stderr}")
        left = [pid for pid in os.listdir("/proc")
                if pid.isdigit() and read_link(f"/proc/{pid}/cwd").startswith(self.data)]
        with open("/proc/self/mounts", encoding="utf-8") as file:
            left += [line.split()[1] for line in file if self.data in line]
        if left or os.path.exists(self.data) or os.path.exists("/sys/class/net/knb0"):
            raise RuntimeError(f"uninstall left something: {left} {self.data}")


def milliseconds(text):
    """Go's way of writing durations: 1.5s, 32.9ms, 410µs."""
    number, unit = re.fullmatch(r"([0-9.]+)(s|ms|µs|us|ns)", text).groups()
    return round(float(number) * {"s": 1e3, "ms": 1, "µs": 1e-3, "us": 1e-3, "ns": 1e-6}[unit], 3)
