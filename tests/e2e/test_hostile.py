"""Containers that mean harm: limits hold, others go on, nothing gets out, and all of it can be removed."""

import os
import subprocess
import time

import harness
from conformance import create, ended, hello, job, mount, pod, sh
from harness import Failure, equal, fetch, scenario, wait_until

SLEEP = "exec sleep 1000"


def resident(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS:")) << 10


class Neighbour:
    """A pod that has to answer all the while."""

    def __init__(self, k):
        create(k, pod("neighbour", hello("c")))
        self.address = k.ready("neighbour")["status"]["podIP"] + ":8080"
        self.k = k

    def check(self, what):
        wait_until(f"the neighbour answers, with {what}",
                   lambda: fetch(self.address, "/hostname")[1] == "neighbour\n", 5)
        equal(self.k.container("neighbour")["restartCount"], 0, what)


@scenario(clients=["knarr"])
def who_takes_all_gets_no_more_than_its_share(k):
    neighbour = Neighbour(k)
    bomb = "b() { b | b & }; b; " + SLEEP
    hog = "a=x; while :; do a=$a$a; done"
    create(k, pod("bomb", sh("c", bomb, resources={"limits": {"cpu": "200m", "memory": "64Mi"}})),
           job("hog", sh("c", hog, resources={"limits": {"memory": "24Mi"}})))
    ended(k, "hog", "Failed")
    equal(k.container("hog")["state"]["terminated"]["reason"], "OOMKilled")
    neighbour.check("a memory hog")

    def forked():
        """How many processes the pod has: as many as it may."""
        summary = k.ok(f"get --raw /api/v1/nodes/{harness.NODE}/proxy/metrics/cadvisor").out
        counts = [float(line.split()[-2]) for line in summary.splitlines()
                  if line.startswith("container_threads{") and f'namespace="{k.namespace}",pod="bomb"' in line]
        if counts and max(counts) > harness.PIDS_MOST:
            raise AssertionError(f"{max(counts)} processes")
        return counts and max(counts) > harness.PIDS_MOST * 0.6

    k.wait("the bomb has gone off", forked)
    neighbour.check("a fork bomb")
    create(k, job("late", sh("c", "echo fine")))
    ended(k, "late")
    k.ok("delete pod bomb hog --wait=false")
    k.gone("pod bomb", 30)
    k.gone("pod hog", 30)
    neighbour.check("both gone")


@scenario(clients=["knarr"])
def who_writes_all_the_time_fills_no_disk(k):
    neighbour = Neighbour(k)
    flood = "yes 'a line of a log that is written as fast as can be, and says nothing'"
    create(k, pod("flood", sh("c", flood, resources={"limits": {"cpu": "400m"}})),
           pod("limited", sh("c", flood, resources={"limits": {"cpu": "400m", "ephemeral-storage": "20Mi"}})))
    k.ready("flood")
    k.wait("who has a limit is evicted", lambda: k.pod("limited")["status"].get("reason") == "Evicted", 60)
    neighbour.check("a log flood")
    # Rotated and thrown away: five files, of which the one that is written may have grown since it was looked at.
    logs = os.path.join(k.cluster.data, "log/pods")
    mine = next(name for name in os.listdir(logs) if name.startswith(f"{k.namespace}_flood_"))
    folder = os.path.join(logs, mine, "c")
    k.wait("logs are rotated", lambda: len(os.listdir(folder)) > 1, 40)
    # Right after that, the new file may be empty.
    k.wait("its log is read", lambda: k.ok("logs flood --tail=1").has("says nothing$"))
    k.ok("delete pod flood --wait=false")
    k.gone("pod flood", 30)
    wait_until("its logs are gone", lambda: not os.path.exists(os.path.join(logs, mine)), 10)


@scenario(clients=["knarr"])
def many_small_files_go_with_their_pod(k):
    neighbour = Neighbour(k)
    count = 30000
    script = f"mkdir -p /v/d; cd /v/d; seq {count} | xargs touch; echo made; " + SLEEP
    create(k, pod("many", sh("c", script, volumeMounts=[mount("v", "/v")]), volumes=[{"name": "v", "emptyDir": {}}]))
    k.wait("they are made", lambda: "made" in k.any("logs many").out, 60)
    begin = time.monotonic()
    neighbour.check("many files")
    k.ok("delete pod many --wait=false")
    k.gone("pod many", 30)
    neighbour.check("many files going")
    if time.monotonic() - begin > 30:
        raise Failure(f"{time.monotonic() - begin} s to remove {count} files")


@scenario(clients=["knarr"])
def who_never_reads_holds_up_nobody(k):
    create(k, pod("talks", sh("c", SLEEP)))
    k.ready("talks")
    before = resident(k.cluster.process.pid)
    command = k.program + ["--namespace", k.namespace, "exec", "talks", "--", "yes"]
    deaf = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=k.cluster.environment())
            for _ in range(8)]
    try:
        time.sleep(3)
        grown = resident(k.cluster.process.pid) - before
        if grown > 64 << 20:
            raise Failure(f"{grown >> 20} MB for output that nobody reads")
        begin = time.monotonic()
        equal(k.ok("exec talks -- echo heard").out, "heard\n")
        if time.monotonic() - begin > 5:
            raise Failure(f"{time.monotonic() - begin} s for another command")
    finally:
        for one in deaf:
            one.kill()
            one.wait()
            one.stdout.close()

    def over():
        return k.ok(["exec", "talks", "--", "sh", "-c", "pidof yes | wc -w"]).out.strip() == "0"

    k.wait("commands end with who asked for them", over, 20)


@scenario(clients=["knarr"])
def links_that_change_lead_nowhere(k):
    """A container swaps a folder for a link to the host's root while others mount what lies there."""
    marker = os.path.join(k.cluster.work, "secret-of-the-host")
    with open(marker, "w", encoding="utf-8") as file:
        file.write("secret\n")
    racer = "cd /v; while :; do mkdir x 2>/dev/null; rm -rf x; ln -s / x; rm -f x; done"
    look = f"[ -e /mnt{marker} ] && echo escaped=yes; ls -d /mnt/proc/1 2>/dev/null && echo escaped=proc; true"
    share = {"name": "v", "hostPath": {"path": os.path.join(k.cluster.work, k.namespace), "type": "DirectoryOrCreate"}}
    create(k, pod("racer", sh("c", racer, volumeMounts=[mount("v", "/v")],
                              resources={"limits": {"cpu": "500m"}}), volumes=[share]))
    k.ready("racer")
    names = [f"victim-{i}" for i in range(12)]
    create(k, *(job(name, sh("c", look, volumeMounts=[mount("v", "/mnt", subPath="x")]), volumes=[share])
                for name in names))

    def settled():
        """Ended, or refused for what was there at that moment."""
        done = 0
        for item in k.items("pods"):
            if item["metadata"]["name"] not in names:
                continue
            states = [s["state"] for s in item["status"].get("containerStatuses", [])]
            waiting = states and states[0].get("waiting", {}).get("reason", "")
            done += item["status"]["phase"] in ("Succeeded", "Failed") or waiting in (
                "CreateContainerConfigError", "CreateContainerError", "RunContainerError", "CrashLoopBackOff")
        return done == len(names)

    k.wait("all have tried", settled, 60)
    k.ok("delete pod racer --wait=false")
    for name in names:
        text = k.any(f"logs {name}").out
        if "escaped" in text:
            raise Failure(f"{name} saw the host: {text}")
