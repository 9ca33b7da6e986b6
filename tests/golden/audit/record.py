#!/usr/bin/env python3
"""Sends the requests of this folder to an API server and writes down what its audit log says of them.

    record.py https://HOST:PORT AUDIT_LOG SCENARIO.json…

A scenario has the policy the server was started with (`record.py --policy SCENARIO.json` prints it), and requests:

    {"do": "POST /api/v1/…", "token": "admin-token", "headers": {…}, "body": …, "events": [what the log said]}

"more" is how many events there are that Kubernetes loses: it can't write down a patch that is no JSON. "body" is JSON, or a text that is sent as it is. Without a token nobody says who it is. The server knows admin-token
(admin, uid-admin, system:masters) and view-token (alice, uid-alice, devs). What differs from run to run is written as a
word: UID, TIME, RV, ID (an audit id that the request did not bring), LAST (the address of the connection).
"""
import json
import re
import ssl
import sys
import time
import urllib.error
import urllib.request

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
AGE = re.compile(r"\d\d?s")
GENERATED = re.compile(r"\bg-[a-z0-9]{5}\b")


def plain(value, key=""):
    if isinstance(value, dict):
        return {k: plain(v, k) for k, v in value.items()}
    if isinstance(value, list):
        return [plain(v) for v in value]
    if not isinstance(value, str):
        return value
    if key == "resourceVersion" and value not in ("", "0"):
        return "RV"
    if key == "token":
        return "TOKEN"
    if key == "description":
        return "DOC"
    if AGE.fullmatch(value):
        return "AGE"
    return GENERATED.sub("g-NAME", TIME.sub("TIME", UUID.sub("UID", value)))


def event_of(line):
    event = json.loads(line)
    event["sourceIPs"][-1] = "LAST"
    if UUID.fullmatch(event["auditID"]):
        event["auditID"] = "ID"
    return plain(event)


def send(base, request):
    method, path = request["do"].split(" ", 1)
    body = request.get("body")
    data = None
    if body is not None:
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    made = urllib.request.Request(base + path, method=method, data=data)
    made.add_header("User-Agent", "recorder/1.0")
    if data is not None:
        made.add_header("Content-Type", "application/json")
    if "token" in request:
        made.add_header("Authorization", "Bearer " + request["token"])
    for name, value in request.get("headers", {}).items():
        made.add_header(name, value)
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with urllib.request.urlopen(made, context=context, timeout=20) as answer:
            answer.read()
    except urllib.error.HTTPError as error:
        error.read()


def main():
    if sys.argv[1] == "--policy":
        print(json.load(open(sys.argv[2]))["policy"], end="")
        return
    base, log = sys.argv[1], open(sys.argv[2])
    for name in sys.argv[3:]:
        scenario = json.load(open(name))
        for request in scenario["requests"]:
            log.seek(0, 2)
            send(base, request)
            time.sleep(0.5)
            request["events"] = [event_of(line) for line in log]
        with open(name, "w") as out:
            json.dump(scenario, out, indent=1)
            out.write("\n")


main()
