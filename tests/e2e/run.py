#!/usr/bin/env python3
"""End-to-end tests: real containers, the real kubectl and knarr's own, on a cluster of their own.

    tests/e2e/run.py --bin build/release/bin/knarr [--only TEXT] [--client kubectl|knarr] [--result FILE] [--keep]
                     [--runtime containerd [--oci-runtime crun|runc] [--short]]

Runs in a network and a mount namespace of its own, so that nothing of it is seen by the machine's own network and
other clusters, and what a scenario leaves behind is found. Needs root. KNARR_BIN stands for --bin.
"""

import argparse
import concurrent.futures
import glob
import importlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, HERE)

import conformance  # noqa: E402
import containerd_runtime  # noqa: E402
import harness  # noqa: E402
import leaks  # noqa: E402


# How many scenarios that may run beside others do so.
BESIDE = 6


def enter_namespaces():
    """Starts this program again in namespaces of its own, with a loopback and one more address."""
    if os.environ.get("KNARR_E2E_INSIDE") != "1":
        os.environ["KNARR_E2E_INSIDE"] = "1"
        os.execvp("unshare", ["unshare", "--net", "--mount", "--propagation", "private", sys.executable, *sys.argv])
    for command in ("link set lo up", "link add eth0 type veth peer name uplink", "link set uplink up",
                    f"addr add {harness.NODE_IP}/24 dev eth0", "link set eth0 up",
                    "route add default via 192.0.2.1 dev eth0"):
        subprocess.run(["ip", *command.split()], check=True)


def run_one(function, client, cluster, number):
    namespace = f"e2e-{number}"
    kit = harness.Kit(cluster, client, namespace)
    begin = time.monotonic()
    verdict, text = "passed", ""
    try:
        cluster.run([cluster.binary, "kubectl", "create", "namespace", namespace])
        kit.wait("the namespace's account", lambda: kit.any("get serviceaccount default").code == 0)
        function(kit)
    except harness.Skip as skip:
        verdict, text = "skipped", str(skip)
    except Exception as error:  # pylint: disable=broad-except
        verdict = "failed"
        text = str(error) if isinstance(error, harness.Failure) else traceback.format_exc()
    took = time.monotonic() - begin
    # It goes away while the next scenario runs; the leak check at the end waits for all.
    try:
        cluster.run([cluster.binary, "kubectl", "delete", "namespace", namespace, "--wait=false"])
    except harness.Failure as failure:
        verdict, text = "failed", f"{text}\n{failure}"
    return verdict, text, took


def chosen(options):
    """(function, client, name) of all that is to run."""
    for function, clients in harness.SCENARIOS:
        if options.short and function.__name__ not in containerd_runtime.SHORT:
            continue
        for client in clients:
            name = f"{function.__module__}.{function.__name__}[{client}]"
            if options.only in name and (not options.client or client == options.client):
                yield function, client, name


def run_all(options, cluster, record):
    beside, alone = [], []
    for number, (function, client, name) in enumerate(chosen(options), 1):
        if client == "kubectl" and harness.kubectl_minor() is None:
            record(name, "skipped", "no kubectl on PATH", 0)
            continue
        (beside if getattr(function, "beside_others", False) else alone).append((function, client, name, number))
    with concurrent.futures.ThreadPoolExecutor(BESIDE) as pool:
        running = {pool.submit(run_one, function, client, cluster, number): name
                   for function, client, name, number in beside}
        for done in concurrent.futures.as_completed(running):
            record(running[done], *done.result())
    for function, client, name, number in alone:
        record(name, *run_one(function, client, cluster, number))
    if not options.only and not options.client and not options.short:
        gaps = conformance.gaps()
        record("every behaviour of conformance is covered", "failed" if gaps else "passed", "\n".join(gaps), 0)


def start(options, work):
    images = os.path.join(work, "images")
    subprocess.run([sys.executable, os.path.join(ROOT, "tests", "fixtures", "make_images.py"), "--out", images],
                   check=True, stdout=subprocess.DEVNULL)
    runtime = None
    if options.runtime == "containerd":
        runtime = containerd_runtime.Containerd(os.path.join(work, "containerd"), options.oci_runtime)
        runtime.start()
    cluster = harness.Cluster(os.path.abspath(options.bin), work, runtime=runtime)
    try:
        begin = time.monotonic()
        cluster.start()
        print(f"cluster ready in {time.monotonic() - begin:.2f} s")
        for archive in sorted(glob.glob(os.path.join(images, "*.tar"))):
            cluster.load(archive)
    except Exception:
        print(cluster.tail())
        if runtime:
            runtime.stop()
        raise
    return cluster


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", default=os.environ.get("KNARR_BIN", os.path.join(ROOT, "build/release/bin/knarr")))
    parser.add_argument("--only", default="")
    parser.add_argument("--client", choices=["kubectl", "knarr"])
    parser.add_argument("--result")
    parser.add_argument("--keep", action="store_true", help="keep the work folder")
    parser.add_argument("--runtime", choices=["own", "containerd"], default="own")
    parser.add_argument("--oci-runtime", choices=["crun", "runc"], default="crun", help="containerd's")
    parser.add_argument("--short", action="store_true", help="only the scenarios that say most about another runtime")
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("run.py: containers need root")
    if not os.access(options.bin, os.X_OK):
        sys.exit(f"run.py: {options.bin} is no program")
    if options.runtime == "containerd" and not containerd_runtime.installed():
        sys.exit("run.py: containerd is not installed (tools/install-dependencies.sh)")
    enter_namespaces()
    for path in sorted(glob.glob(os.path.join(HERE, "test_*.py"))):
        importlib.import_module(os.path.basename(path)[:-3])
    if not any(chosen(options)):
        sys.exit("run.py: no scenario is chosen")
    if harness.kubectl_minor() is None:
        print("no kubectl on PATH: only knarr's own runs")

    result = {"passed": [], "failed": [], "skipped": []}

    def record(name, verdict, text, took):
        result[verdict].append(name)
        print(f"{verdict:8} {took:6.1f} s  {name}" + (f"\n{text}" if text else ""), flush=True)

    work = tempfile.mkdtemp(prefix="knarr-e2e-")
    before = leaks.snapshot(work)
    cluster = None
    try:
        cluster = start(options, work)
        run_all(options, cluster, record)
    finally:
        finish(cluster, before, work, record, options)
        if options.result:
            with open(options.result, "w", encoding="utf-8") as file:
                json.dump(result, file)
    print(f"e2e: {len(result['passed'])} passed, {len(result['failed'])} failed, {len(result['skipped'])} skipped")
    sys.exit(1 if result["failed"] else 0)


def finish(cluster, before, work, record, options):
    """Stops and uninstalls, and says what is left; in any case nothing stays."""
    begin = time.monotonic()
    text = ""
    if cluster is not None:
        try:
            code = cluster.stop()
            if code != 0:
                text += f"the server ended with {code}\n{cluster.tail()}"
            done = cluster.uninstall()
            if done.code != 0:
                text += repr(done)
            if os.path.exists(cluster.data):
                text += f"{cluster.data} is still there: {os.listdir(cluster.data)}\n"
            if cluster.runtime:
                cluster.runtime.stop()
            text += leaks.difference(before, leaks.snapshot(work))
        except (harness.Failure, OSError, subprocess.SubprocessError) as error:
            text += str(error)
        record("uninstall leaves nothing", "failed" if text else "passed", text, time.monotonic() - begin)
        if cluster.runtime:
            cluster.runtime.stop()
        leaks.remove(cluster.data)
    if options.keep or text:
        print("kept", work)
    else:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
