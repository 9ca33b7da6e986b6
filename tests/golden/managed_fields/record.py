#!/usr/bin/env python3
"""Sends the scenarios of this folder to an API server and writes down what it answers.

    record.py https://HOST:PORT TOKEN SCENARIO.json…

A scenario is a list of steps. Each names the request and gets "answer" written into it; the replay test sends the same
requests to Knarr and wants the same answers. Steps are at least a second apart, so that "time" in managedFields tells
the step in which it was set: it is written as "step N".

    {"do": "PATCH /api/v1/…?fieldManager=a", "type": "application/apply-patch+yaml", "agent": "kubectl/v1", "body": …,
     "show": ["data"]}

"body" is JSON, or a text that is sent as it is. With "from": N the object that step N answered is sent, with "body"
merged into it (as a merge patch would). "show" lists the members of the object that are written down besides
managedFields; with "warns", warnings are written down too.
"""
import json
import ssl
import sys
import time
import urllib.error
import urllib.request


def merge(into, patch):
    if not isinstance(patch, dict):
        return patch
    out = dict(into) if isinstance(into, dict) else {}
    for key, value in patch.items():
        if value is None:
            out.pop(key, None)
        else:
            out[key] = merge(out.get(key), value)
    return out


def at(tree, path):
    for name in path.split("."):
        if not isinstance(tree, dict) or name not in tree:
            return None
        tree = tree[name]
    return tree


def body_of(step, answers):
    body = step.get("body")
    if "from" in step:
        body = merge(answers[step["from"]], body or {})
    if body is None or isinstance(body, str):
        return (body or "").encode()
    return json.dumps(body).encode()


def send(base, token, step, data):
    method, path = step["do"].split(" ", 1)
    request = urllib.request.Request(base + path, method=method, data=data if method != "GET" else None)
    request.add_header("Authorization", "Bearer " + token)
    request.add_header("User-Agent", step.get("agent", "recorder/1.0"))
    if method != "GET":
        request.add_header("Content-Type", step.get("type", "application/json"))
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with urllib.request.urlopen(request, context=context) as response:
            return response.status, response.read(), response.headers.get_all("Warning")
    except urllib.error.HTTPError as error:
        return error.code, error.read(), error.headers.get_all("Warning")


def written_down(step, code, answer, warnings, starts):
    out = {"code": code}
    if step.get("warns"):
        out["warnings"] = warnings
    if answer.get("kind") == "Status":
        for name in ("message", "reason", "details"):
            if name in answer:
                out[name] = answer[name]
        return out
    entries = []
    for entry in answer.get("metadata", {}).get("managedFields", []):
        entry = dict(entry)
        if "time" in entry:
            seconds = int(time.mktime(time.strptime(entry["time"], "%Y-%m-%dT%H:%M:%SZ"))) - time.timezone
            if seconds >= starts[0]:
                entry["time"] = f"step {max(i for i, start in enumerate(starts) if start <= seconds)}"
        entries.append(entry)
    out["managedFields"] = entries
    for path in step.get("show", []):
        out[path] = at(answer, path)
    return out


def record(base, token, file):
    with open(file, encoding="utf-8") as text:
        steps = json.load(text)
    answers, starts = [], []
    for step in steps:
        now = time.time()
        time.sleep(1.02 - now % 1)
        starts.append(int(time.time()))
        code, data, warnings = send(base, token, step, body_of(step, answers))
        answer = json.loads(data)
        answers.append(answer)
        step["answer"] = written_down(step, code, answer, warnings, starts)
    with open(file, "w", encoding="utf-8") as text:
        text.write("[\n")
        text.write(",\n".join(json.dumps(step, ensure_ascii=False) for step in steps))
        text.write("\n]\n")


if __name__ == "__main__":
    for name in sys.argv[3:]:
        record(sys.argv[1], sys.argv[2], name)
