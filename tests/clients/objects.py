"""The objects that the client tests work with: objects.yaml, with what its comments say."""

import copy
import json
import os
import re

import yaml

HERE = os.path.dirname(os.path.abspath(__file__))


class Sample:
    """One object, and a field of it that may be changed."""

    def __init__(self, text, namespace):
        self.body = yaml.safe_load(text.replace("{ns}", namespace))
        found = re.search(r"^#patch (\S+) (.+)$", text, re.MULTILINE)
        self.pointer, self.value = (found[1], json.loads(found[2])) if found else ("/metadata/annotations/changed", "yes")
        self.name = self.body["metadata"]["name"]
        self.kind = self.body["kind"]
        self.api_version = self.body["apiVersion"]
        group, _, self.version = self.api_version.rpartition("/")
        self.group = group

    @property
    def title(self):
        return f"{self.kind}.{self.version}.{self.group}".rstrip(".")

    def as_dict(self):
        return {"body": self.body, "pointer": self.pointer, "value": self.value, "title": self.title}

    def merge_patch(self):
        """The change as a merge patch; lists on the way are given whole, as such patches want it."""
        steps = self.pointer.strip("/").split("/")
        whole = copy.deepcopy(self.body)
        set_pointer(whole, self.pointer, self.value)
        out = patch = {}
        for at, step in enumerate(steps):
            whole = whole[step]
            if isinstance(whole, list) or at == len(steps) - 1:
                patch[step] = whole
                return out
            patch = patch.setdefault(step, {})
        return out

    def json_patch(self):
        if self.pointer == "/metadata/annotations/changed":
            return [{"op": "add", "path": "/metadata/annotations", "value": {"changed": self.value}}]
        return [{"op": "add", "path": self.pointer, "value": self.value}] if not self.pointer[-1].isdigit() else [
            {"op": "replace", "path": self.pointer, "value": self.value}]

    def changed(self, body):
        return get_pointer(body, self.pointer) == self.value


def get_pointer(body, pointer):
    for step in pointer.strip("/").split("/"):
        if isinstance(body, list):
            body = body[int(step)] if int(step) < len(body) else None
        else:
            body = (body or {}).get(step)
    return body


def set_pointer(body, pointer, value):
    steps = pointer.strip("/").split("/")
    for step in steps[:-1]:
        body = body[int(step)] if isinstance(body, list) else body.setdefault(step, {})
    if isinstance(body, list):
        body[int(steps[-1])] = value
    else:
        body[steps[-1]] = value


def load(namespace):
    with open(os.path.join(HERE, "objects.yaml"), encoding="utf-8") as file:
        return [Sample(text, namespace) for text in re.split(r"^---$", file.read(), flags=re.MULTILINE)]
