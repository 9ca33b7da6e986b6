"""emptyDir, configMap, secret and projected files, and their updates."""

from harness import equal, pod_yaml, scenario, shell


@scenario()
def config_and_secret_files_follow_their_source(k):
    k.ok("create configmap settings --from-literal=color=red --from-literal=size=big")
    k.ok("create secret generic keys --from-literal=password=s3cret")
    volumes = ("volumes:\n- name: settings\n  configMap:\n    name: settings\n"
               "- name: keys\n  secret:\n    secretName: keys\n    defaultMode: 0400")
    more = ("envFrom:\n- configMapRef:\n    name: settings\n"
            "env:\n- name: PASSWORD\n  valueFrom:\n    secretKeyRef: {name: keys, key: password}\n"
            "volumeMounts:\n- {name: settings, mountPath: /etc/settings}\n- {name: keys, mountPath: /etc/keys}")
    script = "echo $color $PASSWORD; cat /etc/settings/size; echo; cat /etc/keys/password; echo\n" \
             "stat -L -c %a /etc/keys/password\n" \
             "while [ $(cat /etc/settings/color) != blue ]; do sleep 0.2; done; echo turned blue; exec sleep 1000"
    k.create(pod_yaml("reader", shell("c", script, more), volumes))
    k.ready("reader")
    k.wait("what it read", lambda: k.ok("logs reader").out.startswith("red s3cret\nbig\ns3cret\n400\n"))
    k.ok("create configmap settings --from-literal=color=blue --from-literal=size=big --dry-run=client -o yaml")
    k.apply("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings\ndata:\n  color: blue\n  size: big\n")
    k.wait("the file follows", lambda: "turned blue" in k.ok("logs reader").out, 90)


@scenario()
def a_missing_source_holds_the_pod(k):
    k.create(pod_yaml("waits", shell("c", "exec sleep 1000", "envFrom:\n- configMapRef:\n    name: later")))
    k.wait("CreateContainerConfigError", lambda: "CreateContainerConfigError" in k.ok("get pods").out)
    k.event(r'Failed Error: configmap "later" not found')
    k.ok("create configmap later --from-literal=a=b").has("created")
    k.ready("waits", 60)


@scenario()
def empty_dir_outlives_a_container(k):
    volumes = "volumes:\n- name: data\n  emptyDir: {}\n- name: ram\n  emptyDir: {medium: Memory}"
    mounts = "volumeMounts:\n- {name: data, mountPath: /data}\n- {name: ram, mountPath: /ram}"
    k.create(pod_yaml("keeper", shell("c", "echo run >>/data/runs; wc -l </data/runs; grep -c ' /ram tmpfs' /proc/mounts\n"
                                      "[ $(wc -l </data/runs) -gt 1 ] && exec sleep 1000; exit 1", mounts), volumes))
    k.wait("a second run", lambda: k.container("keeper")["restartCount"] >= 1 and
           "running" in k.container("keeper")["state"])
    k.wait("both lines are there", lambda: k.ok("logs keeper").out.split() == ["2", "1"])


@scenario()
def downward_values(k):
    env = ("env:\n- name: WHO\n  valueFrom: {fieldRef: {fieldPath: metadata.name}}\n"
           "- name: WHERE\n  valueFrom: {fieldRef: {fieldPath: spec.nodeName}}\n"
           "- name: IP\n  valueFrom: {fieldRef: {fieldPath: status.podIP}}\n"
           "- name: BOTH\n  value: $(WHO)@$(WHERE)")
    k.create(pod_yaml("self", shell("c", "echo $BOTH $IP; exec sleep 1000", env)))
    ip = k.ready("self")["status"]["podIP"]
    k.wait("its own values", lambda: k.ok("logs self").out == f"self@e2e-node {ip}\n")
    equal(k.ok("get pod self -o jsonpath={.status.podIP}").out, ip)


@scenario(clients=["knarr"])
def sub_paths(k):
    k.ok("create configmap settings --from-literal=color=red --from-literal=size=big")
    volumes = ("volumes:\n- name: v\n  emptyDir: {}\n- name: settings\n  configMap: {name: settings}\n"
               "initContainers:\n" +
               shell("first", "mkdir /v/there; echo text >/v/there/file; ln -s there /v/link; ln -s /etc /v/out; "
                     "ln -s ../../../../../../../etc /v/up; chmod 0750 /v",
                     "volumeMounts:\n- {name: v, mountPath: /v}"))
    mounts = ("env:\n- name: WHO\n  valueFrom: {fieldRef: {fieldPath: metadata.name}}\n"
              "volumeMounts:\n- {name: v, mountPath: /a, subPath: there}\n- {name: v, mountPath: /b, subPath: there/file}\n"
              "- {name: v, mountPath: /c, subPath: link}\n- {name: v, mountPath: /d, subPathExpr: logs/$(WHO)}\n"
              "- {name: settings, mountPath: /e/color, subPath: color}\n- {name: v, mountPath: /all}")
    script = ("cat /a/file /b /c/file /e/color; echo; echo mine >/d/x; cat /all/logs/picky/x; stat -c %a /all/logs\n"
              "exec sleep 1000")
    k.create(pod_yaml("picky", shell("c", script, mounts), volumes))
    k.ready("picky")
    k.wait("what it sees", lambda: k.ok("logs picky").out == "text\ntext\ntext\nred\nmine\n750\n")
    # A container that is started again finds the same.
    k.ok("exec picky -- kill 1")
    for name, path in (("out", "out"), ("up", "up/passwd")):
        more = f"volumeMounts:\n- {{name: v, mountPath: /x, subPath: {path}}}"
        k.create(pod_yaml(f"escapes-{name}", shell("c", "ls /x; exec sleep 1000", more), volumes))
        k.event(rf'Failed Error: failed to prepare subPath for volumeMount "v" of container "c"')
        k.wait("it waits", lambda: k.container(f"escapes-{name}")["state"].get("waiting", {}).get("reason") ==
               "CreateContainerConfigError")
    k.create(pod_yaml("unset", shell("c", "exec sleep 1000", "volumeMounts:\n"
                                     "- {name: v, mountPath: /x, subPathExpr: $(NO)}"), volumes))
    k.event(r"Failed Error: missing value for NO")


@scenario(clients=["knarr"])
def read_only_mounts(k):
    k.ok("create configmap settings --from-literal=color=red")
    volumes = "volumes:\n- name: v\n  emptyDir: {}\n- name: settings\n  configMap: {name: settings}"
    mounts = ("volumeMounts:\n- {name: v, mountPath: /v, readOnly: true, recursiveReadOnly: Enabled}\n"
              "- {name: settings, mountPath: /s}")
    script = "touch /v/x; touch /s/x; cat /s/color; echo; exec sleep 1000"
    k.create(pod_yaml("reads", shell("c", script, mounts), volumes))
    k.ready("reads")
    k.wait("it could not write", lambda: k.ok("logs reads").has("/v/x: Read-only", "/s/x: Read-only", "red$"))


@scenario(clients=["knarr"])
def who_takes_more_than_its_limit_is_evicted(k):
    volumes = "volumes:\n- name: v\n  emptyDir: {sizeLimit: 1Mi}"
    mounts = "volumeMounts:\n- {name: v, mountPath: /v}"
    k.create(pod_yaml("greedy", shell("c", "dd if=/dev/zero of=/v/x bs=64k count=32; exec sleep 1000", mounts), volumes))
    k.create(pod_yaml("writes", shell("c", "dd if=/dev/zero of=/x bs=64k count=32; exec sleep 1000",
                                      "resources:\n  limits: {ephemeral-storage: 1Mi}")))
    k.wait("evicted", lambda: k.pod("greedy")["status"]["phase"] == "Failed" and
           k.pod("writes")["status"]["phase"] == "Failed", 40)
    status = k.pod("greedy")["status"]
    equal((status["reason"], status["message"]),
          ("Evicted", 'Usage of EmptyDir volume "v" exceeds the limit "1Mi". '))
    k.event(r'Evicted Usage of EmptyDir volume "v" exceeds the limit "1Mi"')
    k.event(r"Evicted Pod ephemeral local storage usage exceeds the total limit of containers 1Mi")


@scenario(clients=["knarr"])
def image_volumes(k):
    volumes = "volumes:\n- name: v\n  image: {reference: 'knarr/hello:1', pullPolicy: Never}"
    mounts = "volumeMounts:\n- {name: v, mountPath: /v}"
    k.create(pod_yaml("shows", shell("c", "ls -d /v/*; touch /v/x; exec sleep 1000", mounts), volumes))
    k.ready("shows")
    k.wait("its files", lambda: k.ok("logs shows").has("^/v/", "/v/x: Read-only"))
    absent = volumes.replace("knarr/hello:1", "knarr/absent:1")
    k.create(pod_yaml("lacks", shell("c", "exec sleep 1000", mounts), absent))
    k.wait("it waits", lambda: k.container("lacks")["state"].get("waiting", {}).get("reason") == "ErrImageNeverPull")
    k.ok("delete pod shows")
