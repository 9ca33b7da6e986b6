#!/usr/bin/env python3
"""Adds up the results that tools/test.sh left in a folder; the last line is "N passed, N failed".

Reads gtest/*.xml (one per GoogleTest program), ctest.xml (what is no GoogleTest program counts as one case, and so does
one that crashed before it wrote its results), e2e.json, e2e-containerd.json and clients.json. Exit code 1 when
something failed or nothing ran.
"""

import glob
import json
import os
import sys
import xml.etree.ElementTree as ElementTree


def gtest(folder):
    """Cases of each program, by the program's name; a program that crashed leaves no file."""
    programs = {}
    for path in glob.glob(os.path.join(folder, "gtest", "*.xml")):
        name = os.path.basename(path).split(".")[0]
        passed, failed, skipped = programs.get(name, (0, [], 0))
        for case in ElementTree.parse(path).getroot().iter("testcase"):
            title = f"{case.get('classname')}.{case.get('name')}"
            if case.find("failure") is not None:
                failed = failed + [title]
            elif case.get("result") == "skipped" or case.find("skipped") is not None or case.get("status") == "notrun":
                skipped += 1
            else:
                passed += 1
        programs[name] = (passed, failed, skipped)
    return programs


def main():
    folder = sys.argv[1]
    programs = gtest(folder)
    passed = sum(p[0] for p in programs.values())
    failures = [title for p in programs.values() for title in p[1]]
    skipped = sum(p[2] for p in programs.values())
    path = os.path.join(folder, "ctest.xml")
    if os.path.exists(path):
        for case in ElementTree.parse(path).getroot().iter("testcase"):
            name = case.get("name")
            known = [p for p in (f"knarr_{name}_test", f"{name}_test", name) if p in programs]
            if case.get("status") == "fail" and not (known and programs[known[0]][1]):
                failures.append(name)
            elif case.get("status") == "run" and not known:
                passed += 1
    for suite in ("e2e", "e2e-containerd", "clients"):
        path = os.path.join(folder, suite + ".json")
        if not os.path.exists(path):
            continue
        with open(path, encoding="utf-8") as file:
            result = json.load(file)
        passed += len(result["passed"])
        skipped += len(result["skipped"])
        failures += [f"{suite} {name}" for name in result["failed"]]
    for name in failures:
        print("FAILED", name)
    if skipped:
        print(f"{skipped} skipped")
    print(f"{passed} passed, {len(failures)} failed")
    return 1 if failures or passed == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
