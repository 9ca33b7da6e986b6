#!/usr/bin/env python3
"""Real clients against the API: every kind through every verb of kubectl, the official Python client and the official
JavaScript client.

    tests/clients/run.py --bin build/release/bin/knarr [--client kubectl|python|javascript] [--only TEXT]
    tests/clients/run.py --kubeconfig FILE      against any other API server, also a real Kubernetes

Without --kubeconfig it starts a control plane of its own in a network namespace of its own. The kubectl on PATH does
everything, the ones beside it (kubectl.1.27, …) what differs between them, everything with --thorough; the Python client
is Debian's python3-kubernetes, the JavaScript one comes from npm into a folder that goes away again, or from
--node-modules.
"""

import argparse
import glob
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, HERE)

import kubectl_verbs  # noqa: E402
import objects  # noqa: E402

CLIENT_NODE = "@kubernetes/client-node@1.4.0"


def kubectls(more=()):
    """The kubectl on PATH, those beside it with a version behind their name, and `more`."""
    found = shutil.which("kubectl")
    if found is None:
        return list(more)
    beside = sorted(set(glob.glob(found + ".1.*") + glob.glob(os.path.realpath(found) + ".1.*")))
    return [found] + beside + list(more)


class Server:
    """A control plane without a node."""

    def __init__(self, binary, work):
        self.kubeconfig = os.path.join(work, "kubeconfig")
        self.log = os.path.join(work, "server.log")
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [binary, "server", "--no-node", "--data-dir", os.path.join(work, "data"), "--listen", "127.0.0.1:16443",
                 "--write-kubeconfig", self.kubeconfig], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, env={"PATH": os.environ["PATH"], "HOME": work})
        end = time.monotonic() + 30
        while not self.ready(binary):
            if self.process.poll() is not None or time.monotonic() > end:
                with open(self.log, encoding="utf-8") as log:
                    raise RuntimeError("the server did not start:\n" + log.read()[-3000:])
            time.sleep(0.05)

    def ready(self, binary):
        if not os.path.exists(self.kubeconfig):
            return False
        done = subprocess.run([binary, "kubectl", "get", "--raw", "/readyz"], capture_output=True, check=False,
                              env={"KUBECONFIG": self.kubeconfig, "HOME": "/nonexistent", "PATH": os.environ["PATH"]})
        return done.returncode == 0

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


class Run:
    def __init__(self, options, work):
        self.options, self.work = options, work
        self.result = {"passed": [], "failed": [], "skipped": []}

    def record(self, name, verdict, text, took=0.0):
        self.result[verdict].append(name)
        if verdict != "passed" or self.options.verbose:
            print(f"{verdict:8} {took:5.1f} s  {name}" + (f"\n{text}" if text else ""), flush=True)

    def wants(self, client):
        return self.options.client in (None, client)

    def cases(self, cases):
        for name, function in cases:
            if self.options.only not in name:
                continue
            begin = time.monotonic()
            try:
                function()
                self.record(name, "passed", "", time.monotonic() - begin)
            except kubectl_verbs.Failure as failure:
                self.record(name, "failed", str(failure), time.monotonic() - begin)
            except Exception:  # pylint: disable=broad-except
                self.record(name, "failed", traceback.format_exc(limit=-3), time.monotonic() - begin)

    def namespace(self, kubeconfig, name):
        """A new namespace, with what its objects need."""
        k = kubectl_verbs.Kubectl(kubectls(self.options.kubectl)[0], kubeconfig, self.work, name)
        k("create", "namespace", name)
        end = time.monotonic() + 5
        while "default" not in k("get", "serviceaccounts", "-o", "name"):
            if time.monotonic() > end:  # a server without controllers
                k("create", "serviceaccount", "default")
            time.sleep(0.05)
        return objects.load(name)

    def kubectl(self, kubeconfig):
        if not kubectls(self.options.kubectl):
            self.record("kubectl", "skipped", "there is no kubectl on PATH")
        for number, program in enumerate(kubectls(self.options.kubectl)):
            namespace = f"clients-kubectl-{number}"
            samples = self.namespace(kubeconfig, namespace)
            home = os.path.join(self.work, f"home-{number}")
            brief = number > 0 and not self.options.thorough
            self.cases(kubectl_verbs.cases(program, kubeconfig, home, namespace, samples, brief))

    def python(self, kubeconfig):
        try:
            import python_verbs  # pylint: disable=import-outside-toplevel
        except ImportError as error:
            self.record("python", "skipped", f"no Python client: {error}")
            return
        samples = self.namespace(kubeconfig, "clients-python")
        self.cases(python_verbs.cases(kubeconfig, "clients-python", samples))

    def javascript(self, kubeconfig):
        modules = self.options.node_modules or self.install_client_node()
        if modules is None:
            return
        namespace = "clients-javascript"
        samples = [s for s in self.namespace(kubeconfig, namespace) if self.options.only in f"javascript.{s.title}"]
        path = os.path.join(self.work, "javascript.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"namespace": namespace, "kubeconfig": kubeconfig, "modules": modules,
                       "samples": [s.as_dict() | {"merge": s.merge_patch()} for s in samples]}, file)
        done = subprocess.run(["node", os.path.join(HERE, "verbs.mjs"), path], capture_output=True, text=True,
                              timeout=300, check=False)
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"name"')]
        for line in lines:
            self.record(line["name"], line["verdict"], line["text"])
        if done.returncode != 0 or len(lines) != len(samples):
            self.record("javascript", "failed", f"exit code {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")

    def install_client_node(self):
        """Fetches the client; outside of the network namespace, which has no way out."""
        if shutil.which("node") is None or shutil.which("npm") is None:
            self.record("javascript", "skipped", "there is no node and npm on PATH")
            return None
        folder = os.environ.get("KNARR_CLIENT_NODE")
        if folder is None or not os.path.isdir(os.path.join(folder, "node_modules")):
            self.record("javascript", "failed", "the client could not be installed from npm")
            return None
        return os.path.join(folder, "node_modules")


def fetch_client_node(folder):
    done = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--prefix", folder, CLIENT_NODE],
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print("npm:", done.stderr[-1000:])


def enter_namespace(work):
    """Starts this program again in a network namespace of its own."""
    os.environ["KNARR_CLIENTS_WORK"] = work
    os.execvp("unshare", ["unshare", "--net", sys.executable, *sys.argv])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", default=os.path.join(ROOT, "build/release/bin/knarr"))
    parser.add_argument("--kubeconfig")
    parser.add_argument("--kubectl", action="append", default=[], help="one more kubectl to drive")
    parser.add_argument("--thorough", action="store_true", help="all verbs also with the other versions of kubectl")
    parser.add_argument("--client", choices=["kubectl", "python", "javascript"])
    parser.add_argument("--only", default="")
    parser.add_argument("--node-modules")
    parser.add_argument("--result")
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    work = os.environ.get("KNARR_CLIENTS_WORK")
    if work is None:
        work = tempfile.mkdtemp(prefix="knarr-clients-")
        if options.client in (None, "javascript") and not options.node_modules and shutil.which("npm"):
            os.environ["KNARR_CLIENT_NODE"] = os.path.join(work, "node")
            fetch_client_node(os.environ["KNARR_CLIENT_NODE"])
        if options.kubeconfig is None:
            enter_namespace(work)
    run = Run(options, work)
    server = None
    # So that also a run that is ended from outside ends its server.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        if options.kubeconfig is None:
            server = Server(os.path.abspath(options.bin), work)
        kubeconfig = os.path.abspath(options.kubeconfig) if options.kubeconfig else server.kubeconfig
        for client in ("kubectl", "python", "javascript"):
            if run.wants(client):
                getattr(run, client)(kubeconfig)
    finally:
        if server is not None and (code := server.stop()) != 0:
            run.record("the server's end", "failed", f"exit code {code}")
        shutil.rmtree(work, ignore_errors=True)
    if options.result:
        with open(options.result, "w", encoding="utf-8") as file:
            json.dump(run.result, file)
    print(f"clients: {len(run.result['passed'])} passed, {len(run.result['failed'])} failed, "
          f"{len(run.result['skipped'])} skipped")
    sys.exit(1 if run.result["failed"] else 0)


if __name__ == "__main__":
    main()
