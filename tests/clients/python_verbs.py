"""Every kind through the official Python client: its dynamic client, and the typed calls it has for the kind."""

import copy
import re

import kubernetes
import urllib3
from kubernetes import dynamic
from kubernetes.client.rest import ApiException

from kubectl_verbs import dry_name, need


def refused(code, call):
    try:
        call()
    except (ApiException, dynamic.exceptions.DynamicApiError) as error:
        need(error.status == code, f"{code} expected, got {error.status} {error.body}")
        return error
    need(False, f"{code} expected, but it went well")
    return None


def unless_conflict(change):
    """Reads, changes and writes; again when a controller wrote in between."""
    for _ in range(5):
        try:
            return change()
        except (ApiException, dynamic.exceptions.DynamicApiError) as error:
            if error.status != 409:
                raise
    return change()


def lifecycle(client, sample, namespace):
    api = client.resources.get(api_version=sample.api_version, kind=sample.kind)
    where = {"namespace": namespace} if api.namespaced else {}
    made = api.create(body=copy.deepcopy(sample.body), **where)
    need(made.metadata.uid, "no uid")
    refused(409, lambda: api.create(body=copy.deepcopy(sample.body), **where))
    dry = copy.deepcopy(sample.body) | {"metadata": sample.body["metadata"] | {"name": dry_name(sample)}}
    if dry_name(sample) != sample.name:
        api.create(body=dry, dry_run="All", **where)
        refused(404, lambda: api.get(name=dry_name(sample), **where))
    got = api.get(name=sample.name, **where)
    need(got.kind == sample.kind and got.metadata.uid == made.metadata.uid, str(got))
    listed = api.get(field_selector=f"metadata.name={sample.name}", **where)
    need(len(listed.items) == 1, f"{len(listed.items)} items")
    merge = "application/merge-patch+json"
    patched = api.patch(name=sample.name, body=sample.merge_patch(), content_type=merge, **where)
    need(sample.changed(patched.to_dict()), "the merge patch changed nothing")
    api.patch(name=sample.name, body=[{"op": "add", "path": "/metadata/labels", "value": {"a": "b"}}],
              content_type="application/json-patch+json", **where)
    api.patch(name=sample.name, body={"metadata": {"labels": {"c": "d"}}},
              content_type="application/strategic-merge-patch+json", **where)

    def relabel():
        now = api.get(name=sample.name, **where).to_dict()
        need(now["metadata"]["labels"]["a"] == "b" and now["metadata"]["labels"]["c"] == "d", str(now["metadata"]))
        now["metadata"]["labels"]["e"] = "f"
        replaced = api.replace(body=now, name=sample.name, **where)
        need(replaced.metadata.labels.e == "f", "replace")
        return now | {"metadata": now["metadata"] | {"labels": {"g": "h"}}}

    stale = unless_conflict(relabel)
    refused(409, lambda: api.replace(body=stale, name=sample.name, **where))
    watched(api, sample, where)


def watched(api, sample, where):
    """The watch begins with the object, and tells of its deletion."""
    seen = []
    for event in api.watch(field_selector=f"metadata.name={sample.name}", timeout=20, **where):
        seen.append(event["type"])
        if event["type"] == "ADDED":
            api.delete(name=sample.name, body={"gracePeriodSeconds": 0}, **where)
        if event["type"] == "DELETED" or sample.kind == "Namespace":
            break
    need(seen[0] == "ADDED" and (seen[-1] == "DELETED" or sample.kind == "Namespace"), str(seen))


def snake(name):
    return re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name)).lower()


def typed_api(sample):
    """The client's class for the group and version, and the method's words; None where this client is too old."""
    group = "".join(part.capitalize() for part in sample.group.replace(".k8s.io", "").split(".")) or "Core"
    cls = getattr(kubernetes.client, f"{group}{sample.version.capitalize()}Api", None)
    words = snake(sample.kind)
    if cls is None:
        return None
    for scope in ("namespaced_", ""):
        if hasattr(cls, f"create_{scope}{words}"):
            return cls(), scope, words
    return None


def typed(sample, namespace):
    found = typed_api(sample)
    if found is None:
        return
    api, scope, words = found
    where = [namespace] if scope else []
    call = lambda verb: getattr(api, f"{verb}_{scope}{words}")
    call("create")(*where, copy.deepcopy(sample.body))

    def relabel():
        got = call("read")(sample.name, *where)
        need(got.metadata.name == sample.name, str(got.metadata))
        got.metadata.labels = {"typed": "yes"}
        call("replace")(sample.name, *where, got)

    unless_conflict(relabel)
    listed = call("list")(*where, label_selector="typed=yes", limit=10)
    need([item.metadata.name for item in listed.items] == [sample.name], str(listed))
    call("patch")(sample.name, *where, {"metadata": {"labels": {"patched": "yes"}}})
    if hasattr(api, f"delete_collection_{scope}{words}") and sample.kind not in ("Node",):
        getattr(api, f"delete_collection_{scope}{words}")(*where, label_selector="typed=yes", grace_period_seconds=0)
    else:
        call("delete")(sample.name, *where, grace_period_seconds=0)


def cases(kubeconfig, namespace, samples):
    urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    kubernetes.config.load_kube_config(kubeconfig)
    client = dynamic.DynamicClient(kubernetes.client.ApiClient())
    for sample in samples:
        yield f"python.{sample.title}", lambda sample=sample: lifecycle(client, sample, namespace)
        if sample.kind != "Namespace" and typed_api(sample) is not None:
            yield f"python.typed.{sample.title}", lambda sample=sample: typed(sample, namespace)
