"""`knarr store`: looking after the store while the server runs and while it is stopped."""

import json
import os

from harness import Failure, equal, scenario


@scenario(clients=["knarr"])
def a_store_is_looked_after(k):
    cluster = k.cluster
    backup = os.path.join(cluster.work, "store.backup")

    def store(*words, code=0):
        done = cluster.run([cluster.binary, "store", *words, "--data-dir", cluster.data])
        if done.code != code:
            raise Failure(f"exit code {code} expected\n{done!r}")
        return done

    k.ok("create configmap kept --from-literal=a=b")
    equal(store("stats").has("Server: +running", "Keys: +[0-9]+") is not None, True)
    store("check").has("nothing is damaged")
    store("repair").has("nothing is damaged")
    store("backup", backup).has("objects at revision")
    equal(os.stat(backup).st_mode & 0o777, 0o600)
    store("backup", backup, code=1)
    store("compact").has("history up to revision")
    k.ok("create configmap later --from-literal=a=b")
    store("restore", backup, "--force", code=1)  # the server runs

    equal(cluster.stop(), 0, "exit code")
    try:
        before = json.loads(store("stats", "-o", "json").out)
        store("check").has("nothing is damaged")
        store("compact")
        store("restore", backup, code=1)  # there is something
        store("restore", backup, "--force").has("restored from")
        after = json.loads(store("stats", "-o", "json").out)
        if after["revision"] <= before["revision"]:
            raise Failure(f"{after} is not behind {before}")
    finally:
        cluster.start()
    k.ok("get configmap kept")
    k.fails("get configmap later")
    os.remove(backup)
