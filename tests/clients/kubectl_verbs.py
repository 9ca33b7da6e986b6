"""Every kind through kubectl's verbs."""

import json
import os
import re
import subprocess
import tempfile


class Failure(AssertionError):
    """What was seen is not what was expected."""


class Kubectl:
    def __init__(self, program, kubeconfig, home, namespace):
        self.program, self.namespace, self.home = program, namespace, home
        self.environment = {"PATH": os.environ["PATH"], "HOME": home, "KUBECONFIG": kubeconfig}
        shown = subprocess.run([program, "version", "--client", "-o", "json"], capture_output=True, text=True,
                               env=self.environment, check=True).stdout
        self.minor = int(re.search(r'"minor":\s*"(\d+)', shown)[1])

    def __call__(self, *words, stdin=None, code=0, editor=None):
        environment = self.environment | ({"KUBE_EDITOR": editor} if editor else {})
        done = subprocess.run([self.program, "-n", self.namespace, *words], input=stdin, capture_output=True,
                              text=True, timeout=60, env=environment, check=False)
        if done.returncode != code:
            raise Failure(f"$ kubectl {' '.join(words)}\nexit code {done.returncode}, not {code}\n{done.stdout}{done.stderr}")
        return done.stdout if code == 0 else done.stdout + done.stderr


def need(condition, text):
    if not condition:
        raise Failure(text)


def resource_of(sample):
    """What to call the kind on the command line, so that the version is the sample's."""
    return sample.title if sample.group else sample.kind


def lifecycle(k, sample, verbs):
    """The life of one object; one that fails half-way does not stay in the way of the next client."""
    what, name = resource_of(sample), sample.name
    try:
        verbs(k, sample, what, name)
    except Failure:
        subprocess.run([k.program, "-n", k.namespace, "delete", what, name, "--wait=false", "--ignore-not-found"],
                       capture_output=True, timeout=60, env=k.environment, check=False)
        raise


def live(k, sample, what, name):
    """Create, refuse a second, read in every form, change in every way, delete."""
    text = json.dumps(sample.body)
    out = k("create", "-f", "-", stdin=text)
    need(re.search(rf"/{re.escape(name)} created$", out.strip()), out)
    need("AlreadyExists" in k("create", "-f", "-", stdin=text, code=1), "a second create was not refused")
    if dry_name(sample) != name:
        k("create", "--dry-run=server", "-f", "-", stdin=text.replace(name, dry_name(sample)))
        need("NotFound" in k("get", what, dry_name(sample), code=1), "a dry run made something")
    reads(k, sample, what, name)
    changes(k, sample, what, name)
    if sample.kind == "Namespace":
        k("delete", what, name, "--wait=false")
        return
    out = k("delete", what, name)
    need(f'"{name}"' in out and "deleted" in out, out)
    need("NotFound" in k("get", what, name, code=1), "it is still there")


def live_briefly(k, sample, what, name):
    """What differs from one kubectl to the next: how it reads, prints, validates and applies."""
    text = json.dumps(sample.body)
    k("create", "-f", "-", stdin=text)
    need(name in k("get", what, name, "-o", "wide") or sample.kind == "Event", "get -o wide")
    need(f"name: {name}" in k("get", what, name, "-o", "yaml"), "get -o yaml")
    if describes(k, sample):
        need(name in k("describe", what, name), "describe")
    k("patch", what, name, "--type=merge", "-p", json.dumps(sample.merge_patch()))
    need(sample.changed(json.loads(k("get", what, name, "-o", "json"))), "the merge patch changed nothing")
    apply(k, sample, what, name)
    k("delete", what, name, *(["--wait=false"] if sample.kind == "Namespace" else []))


def dry_name(sample):
    """Another valid name for the same kind."""
    if sample.kind == "IPAddress":
        return "198.51.100.10"
    return sample.name.replace("c-", "d-") if "c-" in sample.name else sample.name


def reads(k, sample, what, name):
    one = json.loads(k("get", what, name, "-o", "json"))
    need(one["kind"] == sample.kind and one["apiVersion"] == sample.api_version, f"{one['apiVersion']} {one['kind']}")
    need(one["metadata"]["uid"] and one["metadata"]["resourceVersion"], "no uid or resourceVersion")
    need("managedFields" not in one["metadata"] or k.minor < 21, "managedFields are shown")
    # Events' tables have no names in them.
    need(name in k("get", what, name) or sample.kind == "Event", "get")
    need(name in k("get", what, name, "-o", "wide", "--show-labels") or sample.kind == "Event", "get -o wide")
    need(f"name: {name}" in k("get", what, name, "-o", "yaml"), "get -o yaml")
    need(k("get", what, name, "-o", "name").strip().endswith("/" + name), "get -o name")
    need(k("get", what, name, "-o", "jsonpath={.metadata.name}") == name, "get -o jsonpath")
    need(k("get", what, name, "-o", "go-template={{.metadata.name}}") == name, "get -o go-template")
    need(name in k("get", what, name, "-o", "custom-columns=N:.metadata.name", "--no-headers"), "custom-columns")
    listed = json.loads(k("get", what, "-o", "json", "--field-selector", f"metadata.name={name}"))
    need([item["metadata"]["name"] for item in listed["items"]] == [name], f"field selector: {listed}")
    if describes(k, sample):
        need(name in k("describe", what, name), "describe")


# The last kubectl that describes a kind through its beta version, which is not served (by default) any more.
DESCRIBED_AS_BETA = {"ServiceCIDR": 33, "IPAddress": 33, "VolumeAttributesClass": 33, "CronJob": 20,
                     "PodDisruptionBudget": 20, "EndpointSlice": 20}


def describes(k, sample):
    return k.minor > DESCRIBED_AS_BETA.get(sample.kind, 0)


def changes(k, sample, what, name):
    whole = ["get", what, name, "-o", "json"] + (["--show-managed-fields"] if k.minor >= 21 else [])
    before = json.loads(k(*whole))
    k("label", what, name, "color=red")
    shown = json.loads(k(*whole))
    managers = [entry["manager"] for entry in shown["metadata"].get("managedFields", [])]
    # Of an object that was made without any field to manage, nothing is tracked before it is applied.
    need("kubectl-label" in managers or "managedFields" not in before["metadata"], f"managers: {managers}")
    need("--overwrite" in k("label", what, name, "color=blue", code=1), "label without --overwrite")
    need(name in k("get", what, "-l", "color in (red,green),!absent", "-o", "name"), "label selector")
    need(k("get", what, "-l", "color=none", "-o", "name") == "", "label selector that matches none")
    k("annotate", what, name, "note=first")
    k("patch", what, name, "--type=merge", "-p", json.dumps(sample.merge_patch()))
    need(sample.changed(json.loads(k("get", what, name, "-o", "json"))), "the merge patch changed nothing")
    k("patch", what, name, "--type=json", "-p", json.dumps([{"op": "replace", "path": "/metadata/labels/color",
                                                              "value": "green"}]))
    k("patch", what, name, "-p", '{"metadata":{"labels":{"strategic":"yes"}}}')
    labels = json.loads(k("get", what, name, "-o", "json"))["metadata"]["labels"]
    need(labels.get("color") == "green" and labels.get("strategic") == "yes", str(labels))
    k("edit", what, name, editor="sed -i s/color:.green/color:\\ yellow/")
    need(k("get", what, name, "-o", "jsonpath={.metadata.labels.color}") == "yellow", "edit")
    now = k("get", what, name, "-o", "json")
    k("replace", "-f", "-", stdin=now.replace('"yellow"', '"white"'))
    need("Conflict" in k("replace", "-f", "-", stdin=now, code=1), "a stale replace was not refused")
    apply(k, sample, what, name)


def apply(k, sample, what, name):
    body = json.loads(json.dumps(sample.body))
    body["metadata"].setdefault("labels", {})["applied"] = "client"
    k("apply", "-f", "-", stdin=json.dumps(body))
    need(k("get", what, name, "-o", "jsonpath={.metadata.labels.applied}") == "client", "apply")
    before = k("get", what, name, "-o", "jsonpath={.metadata.generation}")
    k("apply", "-f", "-", stdin=json.dumps(body))
    need(before == k("get", what, name, "-o", "jsonpath={.metadata.generation}"), "a second apply changed something")
    body["metadata"]["labels"]["applied"] = "server"
    text = json.dumps(body)
    if k.minor >= 22:
        need(re.search(r'\+ +applied: server', k("diff", "-f", "-", stdin=text, code=1)), "diff")
    k("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=text)
    need(k("get", what, name, "-o", "jsonpath={.metadata.labels.applied}") == "server", "apply --server-side")
    need("--force-conflicts" in k("apply", "--server-side", "--field-manager=other", "-f", "-",
                                   stdin=text.replace('"server"', '"other"'), code=1), "no conflict")


def explained(k, sample):
    flags = ["--api-version", sample.api_version]
    need(re.search(r"^(KIND|GROUP): +", k("explain", sample.kind, *flags), re.MULTILINE), "explain")
    need("metadata" in k("explain", sample.kind, "--recursive", *flags), "explain --recursive")
    need("<no description>" not in k("explain", sample.kind, *flags), "a field without a description")


def general(k):
    need("configmaps" in k("api-resources", "-o", "wide"), "api-resources")
    need("apps/v1" in k("api-versions").split(), "api-versions")
    k("version")
    k("cluster-info")
    k("get", "componentstatuses")
    need("*.*" in k("auth", "can-i", "--list"), "auth can-i --list")
    need(k("auth", "can-i", "create", "pods").strip() == "yes", "auth can-i")
    need(k("auth", "can-i", "create", "pods", "--as", "jane", code=1).strip().startswith("no"), "auth can-i --as")
    k("get", "all")
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "kustomization.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write("configMapGenerator:\n- name: made\n  literals: [a=b]\n")
        k("apply", "-k", folder)
        k("delete", "-k", folder)


def cases(program, kubeconfig, home, namespace, samples, brief):
    """(name, function) of every test with this kubectl; `brief`: each kind once through the verbs that differ."""
    k = Kubectl(program, kubeconfig, home, namespace)
    title = f"kubectl-1.{k.minor}"
    yield f"{title}.general", lambda: general(k)
    for sample in samples:
        verbs = live_briefly if brief else live
        yield f"{title}.{sample.title}", lambda sample=sample: lifecycle(k, sample, verbs)
        if not brief:
            yield f"{title}.explain.{sample.title}", lambda sample=sample: explained(k, sample)
