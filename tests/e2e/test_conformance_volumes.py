"""What conformance asks of volumes: configMap, secret, downwardAPI and projected ones, emptyDir, subPath."""

import base64
import hashlib
import json

from conformance import (apply, behaviour, config_map, create, job, judge, mount, pod, printed, results, secret,
                         sh)
from harness import Failure, NODE, equal

SLEEP = "exec sleep 1000"
FILE = 'f() { echo "$1=$(cat $2 2>/dev/null)"; }; m() { echo "$1=$(stat -L -c %a $2)"; };' \
       ' o() { echo "$1=$(stat -L -c %u:%g $2)"; }\n'
MAPPED = [{"key": "data-2", "path": "path/to/data-2"}]
MODED = [{"key": "data-2", "path": "path/to/data-2", "mode": 0o400}]


def forms(kind, reference, source):
    """The volume's source, as it is and as the only part of a projected one: (prefix of behaviours, volume source)."""
    def plain(**more):
        mode = {"defaultMode": more["defaultMode"]} if "defaultMode" in more else {}
        rest = {key: value for key, value in more.items() if key != "defaultMode"}
        return {kind: {reference: source} | rest | mode}

    def projected(**more):
        mode = {"defaultMode": more["defaultMode"]} if "defaultMode" in more else {}
        rest = {key: value for key, value in more.items() if key != "defaultMode"}
        return {"projected": {"sources": [{kind: {"name": source} | rest}]} | mode}

    return plain, projected


CONFIG_MAP = ("should be consumable from pods in volume", "should be consumable from pods in volume as non-root",
              "should be consumable from pods in volume with defaultMode set",
              "should be consumable from pods in volume with mappings",
              "should be consumable from pods in volume with mappings and Item mode set",
              "should be consumable from pods in volume with mappings as non-root",
              "should be consumable in multiple volumes in the same pod")
MAP_PREFIXES = ("[sig-storage] ConfigMap ", "[sig-storage] Projected configMap ")


@behaviour(*(prefix + rest for prefix in MAP_PREFIXES for rest in CONFIG_MAP),
           "[sig-storage] ConfigMap binary data should be reflected in volume")
def config_maps_as_files(k):
    blob = bytes(range(256))
    create(k, config_map("map", {"data-1": "value-1", "data-2": "value-2"},
                         binaryData={"blob": base64.b64encode(blob).decode()}))
    volumes, mounts, script, table = [], [], FILE, {}
    for form, (prefix, source) in enumerate(zip(MAP_PREFIXES, forms("configMap", "name", "map"))):
        for name, more in (("all", {}), ("again", {}), ("moded", {"defaultMode": 0o400}), ("mapped", {"items": MAPPED}),
                           ("both", {"items": MODED})):
            volumes.append({"name": f"{name}{form}"} | source(**more))
            mounts.append(mount(f"{name}{form}", f"/{name}{form}"))
        script += (f"f all{form} /all{form}/data-1; f again{form} /again{form}/data-1; m mode{form} /moded{form}/data-1\n"
                   f"m usual{form} /all{form}/data-1; f mapped{form} /mapped{form}/path/to/data-2\n"
                   f"m both{form} /both{form}/path/to/data-2; echo count{form}=$(ls /mapped{form})\n")
        table |= {prefix + CONFIG_MAP[0]: {f"all{form}": "value-1", f"usual{form}": "644"},
                  prefix + CONFIG_MAP[2]: {f"mode{form}": "400"},
                  prefix + CONFIG_MAP[3]: {f"mapped{form}": "value-2", f"count{form}": "path"},
                  prefix + CONFIG_MAP[4]: {f"both{form}": "400"},
                  prefix + CONFIG_MAP[6]: {f"again{form}": "value-1"}}
    script += "echo blob=$(md5sum </all0/blob)\n"
    nobody = {"securityContext": {"runAsUser": 1000}}
    other = FILE + "".join(f"f n-all{i} /all{i}/data-1; f n-mapped{i} /mapped{i}/path/to/data-2\n" for i in (0, 1))
    create(k, job("reader", sh("root", script, volumeMounts=mounts),
                  sh("nobody", other, volumeMounts=mounts, **nobody), volumes=volumes))
    for form, prefix in enumerate(MAP_PREFIXES):
        table[prefix + CONFIG_MAP[1]] = {f"n-all{form}": "value-1"}
        table[prefix + CONFIG_MAP[5]] = {f"n-mapped{form}": "value-2"}
    table["[sig-storage] ConfigMap binary data should be reflected in volume"] = {
        "blob": hashlib.md5(blob).hexdigest() + " -"}
    judge(results(k, "reader"), table)


SECRET = ("should be consumable from pods in volume",
          "should be consumable from pods in volume as non-root with defaultMode and fsGroup set",
          "should be consumable from pods in volume with defaultMode set",
          "should be consumable from pods in volume with mappings",
          "should be consumable from pods in volume with mappings and Item Mode set",
          "should be consumable in multiple volumes in a pod")
SECRET_PREFIXES = ("[sig-storage] Secrets ", "[sig-storage] Projected secret ")
ELSEWHERE = "[sig-storage] Secrets should be able to mount in a volume regardless of a different secret existing with " \
            "same name in different namespace"


@behaviour(*(prefix + rest for prefix in SECRET_PREFIXES for rest in SECRET), ELSEWHERE)
def secrets_as_files(k):
    other = k.namespace + "-other"
    k.ok(f"create namespace {other}")
    k.ok(f"create secret generic keys --from-literal=data-1=of-another -n {other}")
    create(k, secret("keys", {"data-1": "value-1", "data-2": "value-2"}))
    volumes, mounts, script, table = [], [], FILE, {}
    other_script, other_mounts = FILE, []
    for form, (prefix, source) in enumerate(zip(SECRET_PREFIXES, forms("secret", "secretName", "keys"))):
        for name, more in (("all", {}), ("again", {}), ("moded", {"defaultMode": 0o400}), ("mapped", {"items": MAPPED}),
                           ("both", {"items": MODED}), ("grouped", {"defaultMode": 0o440})):
            volumes.append({"name": f"{name}{form}"} | source(**more))
            mounts.append(mount(f"{name}{form}", f"/{name}{form}"))
        script += (f"f all{form} /all{form}/data-1; f again{form} /again{form}/data-1; m mode{form} /moded{form}/data-1\n"
                   f"f mapped{form} /mapped{form}/path/to/data-2; m both{form} /both{form}/path/to/data-2\n")
        other_script += f"f g{form} /grouped{form}/data-1; m gm{form} /grouped{form}/data-1; o go{form} /grouped{form}/data-1\n"
        table |= {prefix + SECRET[0]: {f"all{form}": "value-1"}, prefix + SECRET[2]: {f"mode{form}": "400"},
                  prefix + SECRET[3]: {f"mapped{form}": "value-2"}, prefix + SECRET[4]: {f"both{form}": "400"},
                  prefix + SECRET[5]: {f"again{form}": "value-1"},
                  prefix + SECRET[1]: {f"g{form}": "value-1", f"gm{form}": "440", f"go{form}": "0:1001"}}
    table[ELSEWHERE] = {"all0": "value-1"}
    create(k, job("reader", sh("c", script, volumeMounts=mounts), volumes=volumes),
           job("grouped", sh("c", other_script, volumeMounts=mounts), volumes=volumes,
               securityContext={"runAsUser": 1000, "fsGroup": 1001}))
    try:
        judge(results(k, "reader") | results(k, "grouped"), table)
    finally:
        k.ok(f"delete namespace {other} --wait=false")


UPDATES = ("[sig-storage] ConfigMap updates should be reflected in volume",
           "[sig-storage] Projected configMap updates should be reflected in volume")
OPTIONAL = ("[sig-storage] ConfigMap optional updates should be reflected in volume",
            "[sig-storage] Projected configMap optional updates should be reflected in volume",
            "[sig-storage] Secrets optional updates should be reflected in volume",
            "[sig-storage] Projected secret optional updates should be reflected in volume")


@behaviour(*UPDATES, *OPTIONAL)
def files_follow_their_objects(k):
    made = {"configMap": config_map, "secret": secret}
    volumes, mounts = [], []
    for kind, reference in (("configMap", "name"), ("secret", "secretName")):
        create(k, *(made[kind](name, {"data": "old"}) for name in ("deleted", "updated")))
        for name in ("deleted", "updated", "created"):
            for form, source in enumerate(forms(kind, reference, name)):
                volumes.append({"name": f"{name}-{kind.lower()}-{form}"} | source(optional=name != "updated"))
                mounts.append(mount(volumes[-1]["name"], f"/v/{kind}{form}/{name}"))
    create(k, pod("watcher", sh("c", SLEEP, volumeMounts=mounts), volumes=volumes))
    k.ready("watcher")

    def files():
        script = 'for f in /v/*/*; do echo "${f#/v/}=$(cat $f/data 2>/dev/null)"; done'
        return dict(line.split("=") for line in k.ok(["exec", "watcher", "--", "sh", "-c", script]).out.splitlines())

    equal(files(), {f"{kind}{form}/{name}": "" if name == "created" else "old"
                    for kind in made for form in (0, 1) for name in ("deleted", "updated", "created")})
    for kind, make in made.items():
        k.ok(f"delete {kind.lower()} deleted")
        apply(k, make("updated", {"data": "new"}), make("created", {"data": "new"}))

    def told():
        now = files()
        table = {name: {f"{kind}{form}/{what}": want for what, want in
                        (("deleted", ""), ("updated", "new"), ("created", "new"))}
                 for name, (kind, form) in zip(OPTIONAL, (("configMap", 0), ("configMap", 1), ("secret", 0), ("secret", 1)))}
        table |= {name: {f"configMap{form}/updated": "new"} for form, name in enumerate(UPDATES)}
        judge(now, table)
        return True

    k.wait("all files follow", told, 90)


DOWNWARD = {"podname only": "metadata.name"}
API_PREFIXES = ("[sig-storage] Downward API volume should ", "[sig-storage] Projected downwardAPI should ")
AMOUNTS = {"provide container's cpu limit": ("limits.cpu", "c", "2"),
           "provide container's cpu request": ("requests.cpu", "c", "1"),
           "provide container's memory limit": ("limits.memory", "c", str(64 << 20)),
           "provide container's memory request": ("requests.memory", "c", str(32 << 20)),
           "provide node allocatable (cpu) as default cpu limit if the limit is not set": ("limits.cpu", "free", None),
           "provide node allocatable (memory) as default memory limit if the limit is not set":
               ("limits.memory", "free", None)}
API_REST = ("provide podname only", "set DefaultMode on files", "set mode on item file",
            "update annotations on modification", "update labels on modification")


def field(path, field_path, **more):
    return {"path": path, "fieldRef": {"fieldPath": field_path}} | more


@behaviour(*(prefix + rest for prefix in API_PREFIXES for rest in (*AMOUNTS, *API_REST)))
def downward_api_as_files(k):
    items = [field("podname", "metadata.name"), field("moded", "metadata.name", mode=0o400),
             field("labels", "metadata.labels"), field("annotations", "metadata.annotations")]
    for number, (resource, container, _) in enumerate(AMOUNTS.values()):
        items.append({"path": f"amount{number}", "resourceFieldRef": {"containerName": container, "resource": resource}})
    volumes = [{"name": "v0", "downwardAPI": {"items": items, "defaultMode": 0o440}},
               {"name": "v1", "projected": {"sources": [{"downwardAPI": {"items": items}}], "defaultMode": 0o440}}]
    script = FILE + "".join(
        f"f name{form} /v{form}/podname; m usual{form} /v{form}/podname; m mode{form} /v{form}/moded\n" +
        "".join(f"f amount{number}-{form} /v{form}/amount{number}\n" for number in range(len(AMOUNTS)))
        for form in (0, 1))
    mounts = [mount("v0", "/v0"), mount("v1", "/v1")]
    limits = {"limits": {"cpu": "1250m", "memory": "64Mi"}, "requests": {"cpu": "10m", "memory": "32Mi"}}
    create(k, pod("self", sh("c", script + SLEEP, volumeMounts=mounts, resources=limits), sh("free", SLEEP),
                  volumes=volumes, labels={"key": "one"}, annotations={"builder": "bar"}))
    k.ready("self")
    allocatable = k.object(f"node {NODE}")["status"]["allocatable"]
    default = [allocatable["cpu"], str(int(allocatable["memory"].removesuffix("Ki")) << 10)]
    table = {}
    for form, prefix in enumerate(API_PREFIXES):
        wants = [want or default[number - 4] for number, (_, _, want) in enumerate(AMOUNTS.values())]
        for number, rest in enumerate(AMOUNTS):
            table[prefix + rest] = {f"amount{number}-{form}": wants[number]}
        table |= {prefix + API_REST[0]: {f"name{form}": "self"}, prefix + API_REST[1]: {f"usual{form}": "440"},
                  prefix + API_REST[2]: {f"mode{form}": "400"}}
    k.wait("it has spoken", lambda: f"amount{len(AMOUNTS) - 1}-1" in printed(k, "self", "c"))
    judge(printed(k, "self", "c"), table)
    k.ok("label pod self key=two --overwrite")
    k.ok("annotate pod self builder=foo --overwrite")

    def told():
        done = k.ok(["exec", "self", "-c", "c", "--", "sh", "-c",
                     "for i in 0 1; do echo l$i=$(cat /v$i/labels); echo a$i=$(cat /v$i/annotations); done"])
        now = dict(line.split("=", 1) for line in done.out.splitlines() if line[:1] in "la" and line[1:2] in "01")
        table = {}
        for form, prefix in enumerate(API_PREFIXES):
            table[prefix + API_REST[3]] = {f"a{form}": lambda text: 'builder="foo"' in text}
            table[prefix + API_REST[4]] = {f"l{form}": lambda text: 'key="two"' in text}
        judge(now, table)
        return True

    k.wait("files follow", told, 90)


@behaviour("[sig-storage] Projected combined should project all components that make up the projection API")
def everything_in_one_volume(k):
    create(k, config_map("map", {"from-map": "m"}), secret("keys", {"from-secret": "s"}))
    sources = [{"configMap": {"name": "map"}}, {"secret": {"name": "keys"}},
               {"downwardAPI": {"items": [field("podname", "metadata.name")]}},
               {"serviceAccountToken": {"path": "token", "expirationSeconds": 600}}]
    script = FILE + "f map /all/from-map; f secret /all/from-secret; f name /all/podname; f token /all/token\n"
    create(k, job("all", sh("c", script, volumeMounts=[mount("v", "/all")]),
                  volumes=[{"name": "v", "projected": {"sources": sources}}]))
    judge(results(k, "all"), {everything_in_one_volume.__name__: {
        "map": "m", "secret": "s", "name": "all", "token": lambda text: text.count(".") == 2}})


EMPTY_DIR = "[sig-storage] EmptyDir volumes "
MODES = {f"{EMPTY_DIR}should support ({who},0{mode},{medium})": (who, mode, medium)
         for who in ("root", "non-root") for mode in ("644", "666", "777") for medium in ("default", "tmpfs")}
RIGHT_MODE = {f"{EMPTY_DIR}volume on {medium} medium should have the correct mode" if medium == "default" else
              f"{EMPTY_DIR}volume on {medium} should have the correct mode": medium for medium in ("default", "tmpfs")}


@behaviour(*MODES, *RIGHT_MODE, EMPTY_DIR + "pod should support shared volumes between containers")
def empty_directories(k):
    volumes = [{"name": "default", "emptyDir": {}}, {"name": "tmpfs", "emptyDir": {"medium": "Memory"}}]
    mounts = [mount("default", "/default"), mount("tmpfs", "/tmpfs")]
    scripts = {"root": FILE, "non-root": FILE}
    table = {}
    for name, (who, mode, medium) in MODES.items():
        path = f"/{medium}/{who}-{mode}"
        scripts[who] += (f"(umask 0; echo text >{path}; chmod {mode} {path}); f {who}{mode}{medium} {path}\n"
                         f"m m{who}{mode}{medium} {path}; o o{who}{mode}{medium} {path}\n")
        table[name] = {f"{who}{mode}{medium}": "text", f"m{who}{mode}{medium}": mode,
                       f"o{who}{mode}{medium}": "1001:0" if who == "non-root" else "0:0"}
    for name, medium in RIGHT_MODE.items():
        scripts["root"] += f"m {medium} /{medium}; echo type-{medium}=$(grep -c ' /{medium} tmpfs' /proc/mounts)\n"
        table[name] = {medium: "777", f"type-{medium}": "1" if medium == "tmpfs" else "0"}
    shared = EMPTY_DIR + "pod should support shared volumes between containers"
    table[shared] = {"shared": "from the other"}
    scripts["root"] += "echo from the other >/default/shared\n"
    scripts["non-root"] += "until [ -s /default/shared ]; do sleep 0.1; done; f shared /default/shared\n"
    create(k, job("both", sh("root", scripts["root"], volumeMounts=mounts),
                  sh("nobody", scripts["non-root"], volumeMounts=mounts, securityContext={"runAsUser": 1001}),
                  volumes=volumes))
    judge(results(k, "both"), table)


@behaviour("[sig-storage] EmptyDir wrapper volumes should not conflict",
           "[sig-storage] EmptyDir wrapper volumes should not cause race condition when used for configmaps")
def many_volumes_of_a_pod(k):
    count = 20
    create(k, secret("keys", {"data": "s"}), *(config_map(f"map-{i}", {"data": str(i)}) for i in range(count)))
    volumes = [{"name": "keys", "secret": {"secretName": "keys"}}]
    volumes += [{"name": f"map-{i}", "configMap": {"name": f"map-{i}"}} for i in range(count)]
    mounts = [mount(volume["name"], "/v/" + volume["name"]) for volume in volumes]
    script = FILE + "for v in /v/*; do f ${v#/v/} $v/data; done\n"
    names = [f"racer-{i}" for i in range(3)]
    create(k, *(job(name, sh("c", script, volumeMounts=mounts), volumes=volumes) for name in names))
    for name in names:
        equal(results(k, name), {"keys": "s"} | {f"map-{i}": str(i) for i in range(count)})


IMMUTABLE = ("[sig-storage] ConfigMap should be immutable if `immutable` field is set",
             "[sig-storage] Secrets should be immutable if `immutable` field is set")


@behaviour(*IMMUTABLE)
def immutable_objects(k):
    for kind, make in (("configmap", config_map), ("secret", secret)):
        create(k, make("fixed", {"data": "old"}))
        apply(k, make("fixed", {"data": "new"}))
        apply(k, make("fixed", {"data": "new"}, immutable=True))
        for change in (make("fixed", {"data": "newer"}, immutable=True), make("fixed", {"data": "new"}),
                       make("fixed", {"data": "new"}, immutable=False)):
            k.fails("apply -f -", json.dumps(change)).has(r"field is immutable when `immutable` is set")
        k.ok(f"label {kind} fixed still=possible")
        k.ok(f"delete {kind} fixed")


SUB_PATHS = {"configmap": "configMap", "secret": "secret", "downward": "downwardAPI", "projected": "projected"}
EXISTING = "[sig-storage] Subpath Atomic writer volumes should support subpaths with configmap pod with mountPath of " \
           "existing file"


@behaviour(*(f"[sig-storage] Subpath Atomic writer volumes should support subpaths with {kind} pod"
             for kind in SUB_PATHS), EXISTING)
def sub_paths_of_made_files(k):
    create(k, config_map("map", {"file": "m"}), secret("keys", {"file": "s"}))
    downward = {"items": [field("file", "metadata.name")]}
    volumes = [{"name": "configmap", "configMap": {"name": "map"}}, {"name": "secret", "secret": {"secretName": "keys"}},
               {"name": "downward", "downwardAPI": downward},
               {"name": "projected", "projected": {"sources": [{"configMap": {"name": "map"}}]}}]
    mounts = [mount(kind, f"/sub/{kind}", subPath="file") for kind in SUB_PATHS]
    mounts.append(mount("configmap", "/etc/passwd", subPath="file"))
    script = FILE + "for i in 1 2 3; do for v in /sub/*; do f ${v#/sub/}$i $v; done; sleep 0.1; done\n" \
                    "f existing /etc/passwd\n"
    create(k, job("sub", sh("c", script, volumeMounts=mounts), volumes=volumes))
    table = {f"[sig-storage] Subpath Atomic writer volumes should support subpaths with {kind} pod":
             {f"{kind}{i}": want for i in (1, 2, 3)}
             for kind, want in zip(SUB_PATHS, ("m", "s", "sub", "m"))}
    judge(results(k, "sub"), table | {EXISTING: {"existing": "m"}})


SUB_EXPRESSION = "[sig-node] Variable Expansion should "
BROKEN = {"fail substituting values in a volume subpath with absolute path": "/tmp",
          "fail substituting values in a volume subpath with backticks": "..",
          "verify that a failing subpath expansion can be modified during the lifecycle of a container": None}


@behaviour(SUB_EXPRESSION + "allow substituting values in a volume subpath",
           SUB_EXPRESSION + "succeed in writing subpaths in container", *(SUB_EXPRESSION + rest for rest in BROKEN))
def sub_paths_from_variables(k):
    volumes = [{"name": "v", "emptyDir": {}}]
    environment = [{"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                   {"name": "WHERE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.annotations['where']"}}}]
    inner = mount("v", "/logs", subPathExpr="$(NAME)")

    def bad(name, value):
        return pod(name, sh("c", SLEEP, env=[{"name": "BAD", "value": value}],
                            volumeMounts=[mount("v", "/x", subPathExpr="$(BAD)")]), volumes=volumes)

    writes = "echo mine >/logs/file; echo all=$(cat /all/writer/file); echo sub=$(ls /logs)"
    create(k, job("writer", sh("c", writes, env=environment, volumeMounts=[inner, mount("v", "/all")]), volumes=volumes),
           bad("absolute", "/tmp"), bad("backticks", "`hostname`/.."),
           pod("mended", sh("c", SLEEP, env=environment, volumeMounts=[mount("v", "/logs", subPathExpr="$(WHERE)/$(NAME)")]),
               volumes=volumes, annotations={"where": "/absolute"}))
    equal(results(k, "writer"), {"all": "mine", "sub": "file"})

    def waits(name, pattern):
        state = k.container(name)["state"].get("waiting", {})
        if state.get("reason") != "CreateContainerConfigError":
            raise Failure(f"{name}: {state}")
        return pattern in state.get("message", "")

    for name in ("absolute", "mended"):
        k.wait(f"{name} waits", lambda: waits(name, "must not be an absolute path"))
    k.wait("backticks wait", lambda: waits("backticks", "must not contain '..'"))
    k.ok("annotate pod mended where=mended --overwrite")
    k.ready("mended", 90)
    equal(k.container("mended")["restartCount"], 0)
    # And goes on, whatever the annotation says later.
    k.ok("annotate pod mended where=elsewhere --overwrite")
    equal(k.ok("exec mended -- sh -c 'echo x >/logs/y; ls /logs'").out, "y\n")
