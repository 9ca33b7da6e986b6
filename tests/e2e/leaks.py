"""What a cluster could leave behind on a machine: mounts, control groups, network namespaces, links, routes, rules,
processes."""

import glob
import os
import signal
import subprocess
import time


def _lines(*command):
    return set(subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines())


def _cgroups(own):
    """A cluster's groups bear the name of its data folder; other clusters of this machine have theirs."""
    found = set()
    for folder, names, _ in os.walk("/sys/fs/cgroup"):
        names[:] = [n for n in names if not os.path.islink(os.path.join(folder, n))]
        if own in folder:
            found.add(folder)
    return found


def _processes(own):
    """Shims of this cluster: their command line names its folder."""
    found = {}
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        pid = path.split("/")[2]
        try:
            with open(path, "rb") as file:
                command = file.read().replace(b"\0", b" ").decode(errors="replace").strip()
            same = os.readlink(f"/proc/{pid}/ns/mnt") == os.readlink("/proc/self/ns/mnt")
        except OSError:
            continue
        if same and "knarr-shim" in command and own in command:
            found[f"{pid} {command}"] = pid
    return set(found)


def _mounts(own):
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        return {line.split(" ")[4] for line in file if own in line}


def snapshot(work):
    own = os.path.basename(work)
    return {
        "mount": _mounts(own),
        "control group": _cgroups(own),
        "network namespace": _lines("ip", "netns", "list"),
        "link": {line.split()[0] for line in _lines("ip", "-br", "link")},
        # Link-local ones appear by themselves a moment after a link came up.
        "route": {r for r in _lines("ip", "route", "show", "table", "all") if "fe80::" not in r},
        "nftables table": _lines("nft", "list", "tables"),
        "process": _processes(own),
    }


def difference(before, after):
    """One line for each thing that is there now and was not; "" for none."""
    out = ""
    for kind, things in after.items():
        for thing in sorted(things - before[kind]):
            out += f"left behind: {kind} {thing}\n"
    return out


def remove(data):
    """Ends and unmounts what a broken cluster left below its data folder."""
    for path in glob.glob("/proc/[0-9]*/cwd"):
        try:
            if os.readlink(path).startswith(data + "/"):
                os.kill(int(path.split("/")[2]), signal.SIGKILL)
        except OSError:
            continue
    time.sleep(0.1)
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        mounts = [line.split(" ")[4] for line in file]
    for mount in sorted((m for m in mounts if m.startswith(data + "/")), reverse=True):
        subprocess.run(["umount", "-l", mount], check=False)
