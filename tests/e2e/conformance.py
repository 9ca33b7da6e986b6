"""Which of upstream's conformance names the scenarios cover, and what the scenarios that cover them are written with.

A name is one of conformance.txt. Scenarios say which they cover by @covers(…), by @behaviour(…) (which also makes the
scenario), or by the name in their docstring. Behaviours run several at a time, each in a namespace of its own.
"""

import json
import os

import harness
from harness import Failure

COVERED = {}  # name → names of functions
LIST = os.path.join(os.path.dirname(os.path.abspath(__file__)), "conformance.txt")


def covers(*names):
    def mark(function):
        for name in names:
            COVERED.setdefault(name, []).append(function.__name__)
        return function

    return mark


def behaviour(*names, client="knarr"):
    """A scenario that covers these, and may run beside others."""

    def register(function):
        covers(*names)(function)
        function.beside_others = True
        harness.SCENARIOS.append((function, [client]))
        return function

    return register


def wanted():
    """{name: why it is not covered, or ""}"""
    out = {}
    with open(LIST, encoding="utf-8") as file:
        for line in file:
            if not line.startswith("#"):
                name, _, reason = line.rstrip("\n").partition("\t")
                out[name] = reason
    return out


def gaps():
    """What is wrong between the list and the scenarios, a line each."""
    covered = {name: list(by) for name, by in COVERED.items()}
    listed = wanted()
    for function, _ in harness.SCENARIOS:
        for name in listed:
            if name in (function.__doc__ or ""):
                covered.setdefault(name, []).append(function.__name__)
    out = [f"nothing covers: {name}" for name, reason in listed.items() if not reason and name not in covered]
    out += [f"covered, but listed as not ({reason}): {name}" for name, reason in listed.items()
            if reason and name in covered]
    out += [f"{covered[name]} cover what is not listed: {name}" for name in covered if name not in listed]
    return out


# ---- Manifests: as dictionaries, which JSON is made of ----


def sh(name, script, **more):
    return {"name": name, "image": "busybox", "imagePullPolicy": "Never", "command": ["sh", "-c", script]} | more


def hello(name, *args, **more):
    return {"name": name, "image": "knarr/hello:1", "imagePullPolicy": "Never", "args": list(args)} | more


def pod(name, *containers, labels=None, annotations=None, **spec):
    return {"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "labels": labels or {"app": "test"}, "annotations": annotations or {}},
            "spec": {"terminationGracePeriodSeconds": 1, "containers": list(containers)} | spec}


def job(name, *containers, **more):
    """A pod that ends by itself."""
    return pod(name, *containers, restartPolicy="Never", **more)


def config_map(name, data, **more):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data} | more


def secret(name, data, **more):
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data} | more


def create(k, *objects):
    k.create(json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))


def apply(k, *objects):
    k.apply(json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))


def mount(name, path, **more):
    return {"name": name, "mountPath": path} | more


# ---- What pods print ----


def ended(k, name, phase="Succeeded", seconds=60):
    def check():
        now = k.pod(name)["status"]["phase"]
        if now != phase and now in ("Succeeded", "Failed"):
            raise AssertionError(f"{name} is {now}, not {phase}\n{k.any(f'logs {name} --all-containers').out}"
                                 f"{json.dumps(k.pod(name)['status'], indent=1)}")
        return now == phase

    k.wait(f"{name} is {phase}", check, seconds)
    return k.pod(name)


def printed(k, name, container=None):
    """The lines "key=value" of a pod's log, all containers of it or one."""
    which = f"-c {container}" if container else "--all-containers"
    return dict(line.split("=", 1) for line in k.ok(f"logs {name} {which}").out.splitlines() if "=" in line)


def results(k, name):
    """The same of a pod that has ended well."""
    ended(k, name)
    return printed(k, name)


def judge(got, table):
    """`table`: behaviour → {key: value, or a function that judges it}. Every behaviour that is not so is told of."""
    wrong = []
    for name, expected in table.items():
        for key, want in expected.items():
            have = got.get(key)
            if not (want(have) if callable(want) and have is not None else have == want):
                shown = "what is right" if callable(want) else repr(want)
                wrong.append(f"{name}: {key} is {have!r}, not {shown}")
    if wrong:
        raise Failure("\n".join(wrong))


def raw(k, verb, path, body=None, **more):
    """A request as a client library makes it; parsed."""
    flags = {"GET": "get", "POST": "create", "PUT": "replace", "DELETE": "delete"}
    line = [flags[verb], "--raw", path] + (["-f", "-"] if body is not None else [])
    return json.loads(k.ok(line, json.dumps(body) if body is not None else None, **more).out)
