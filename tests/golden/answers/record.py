#!/usr/bin/env python3
"""Sends the requests of this folder to an API server and writes down what it answered.

    record.py https://HOST:PORT TOKEN SCENARIO.json…

A scenario is a list of requests, made in order against a server that has none of its objects yet:

    {"do": "POST /api/v1/…", "headers": {…}, "body": …, "code": 422, "warnings": […], "answer": …}

"body" is JSON, or a text that is sent as it is. The answer is what the server said, without what differs from run to
run: uids, times, versions, managedFields, addresses and ports it chose, and names it made up (a word in capitals
instead). A failure's answer has its message, reason and details.
"""
import json
import re
import ssl
import sys
import urllib.error
import urllib.request

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
DROPPED = {"uid", "resourceVersion", "creationTimestamp", "managedFields", "deletionTimestamp", "nodePort", "clusterIP",
           "clusterIPs", "healthCheckNodePort", "continue", "remainingItemCount"}
TOKEN_VOLUME = re.compile(r"kube-api-access-[a-z0-9]{5}")


def plain(value):
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items() if k not in DROPPED}
    if isinstance(value, list):
        return [plain(v) for v in value]
    if isinstance(value, str):
        return TOKEN_VOLUME.sub("kube-api-access", UUID.sub("UID", TIME.sub("TIME", value)))
    return value


def main():
    server, token, files = sys.argv[1].rstrip("/"), sys.argv[2], sys.argv[3:]
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    for name in files:
        with open(name) as file:
            requests = json.load(file)
        for request in requests:
            method, _, path = request["do"].partition(" ")
            body = request.get("body")
            data = None if body is None else (body if isinstance(body, str) else json.dumps(body)).encode()
            call = urllib.request.Request(server + path, data, method=method)
            call.add_header("Authorization", "Bearer " + token)
            call.add_header("Accept", "application/json")
            if data is not None:
                call.add_header("Content-Type", "application/json")
            for key, value in request.get("headers", {}).items():
                call.add_header(key, value)
            try:
                answer = urllib.request.urlopen(call, context=context)
            except urllib.error.HTTPError as error:
                answer = error
            text = answer.read().decode()
            request["code"] = answer.status
            request.pop("warnings", None)
            warnings = answer.headers.get_all("Warning")
            if warnings:
                request["warnings"] = warnings
            try:
                request["answer"] = plain(json.loads(text))
            except ValueError:
                request["answer"] = text
        with open(name, "w") as file:
            file.write("[\n" + ",\n".join(json.dumps(r, ensure_ascii=False) for r in requests) + "\n]\n")


main()
