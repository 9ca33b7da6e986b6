"""Pods: what the first scenarios of a user do (B2, B3, B5), and what goes wrong with them."""

import re

from harness import equal, Failure, fetch, kubectl_minor, pod_yaml, scenario, shell, web


@scenario()
def pod_runs_and_is_shown(k):
    """B2: create from a file, then every form of get, and describe."""
    manifest = pod_yaml("mynapp-pod", web("mynapp", more="ports:\n- containerPort: 8080"),
                        labels="env: prod\ntier: backend")
    k.create(manifest).has(r"^pod/mynapp-pod created$")
    pod = k.ready("mynapp-pod")
    equal(fetch(pod["status"]["podIP"] + ":8080", "/hostname"), (200, "mynapp-pod\n"))
    equal(pod["status"]["phase"], "Running")
    row = k.ok("get pods").columns(["NAME", "READY", "STATUS", "RESTARTS", "AGE"])["mynapp-pod"]
    equal((row["READY"], row["STATUS"], row["RESTARTS"]), ("1/1", "Running", "0"))
    row = k.ok("get pods -o wide").columns(
        ["NAME", "READY", "STATUS", "RESTARTS", "AGE", "IP", "NODE", "NOMINATED NODE", "READINESS GATES"])["mynapp-pod"]
    equal((row["IP"], row["NODE"]), (pod["status"]["podIP"], "e2e-node"))
    row = k.ok("get pods --show-labels").columns(["NAME", "READY", "STATUS", "RESTARTS", "AGE", "LABELS"])["mynapp-pod"]
    equal(row["LABELS"], "env=prod,tier=backend")
    row = k.ok("get pods -L env,tier").columns(
        ["NAME", "READY", "STATUS", "RESTARTS", "AGE", "ENV", "TIER"])["mynapp-pod"]
    equal((row["ENV"], row["TIER"]), ("prod", "backend"))
    k.ok("get pod mynapp-pod -o yaml").has(r"^apiVersion: v1$", r"^kind: Pod$", r"containerPort: 8080", r"phase: Running")
    equal(k.ok("get pod mynapp-pod -o name").out, "pod/mynapp-pod\n")
    k.ok("describe pod mynapp-pod").has(
        r"^Name:\s+mynapp-pod$", r"^Node:\s+e2e-node/192\.0\.2\.10$", r"^Labels:\s+env=prod$", r"^Status:\s+Running$",
        r"Image:\s+knarr/hello:1$", r"Port:\s+8080/TCP$", r"QoS Class:\s+BestEffort",
        r"Scheduled .*default-scheduler\s+Successfully assigned " + k.namespace + "/mynapp-pod to e2e-node",
        r"Normal\s+Started\s.*kubelet\s+.*[Cc]ontainer")
    k.fails("create -f -", manifest).has(r'Error from server \(AlreadyExists\).*pods "mynapp-pod" already exists')
    k.ok("delete pod mynapp-pod").has(r'^pod "mynapp-pod".* deleted')
    k.fails("get pod mynapp-pod").has(r'^Error from server \(NotFound\): pods "mynapp-pod" not found$')


@scenario(clients=["knarr"])
def who_is_not_root_reads_what_is_made_for_it(k):
    """Whatever umask the server was started with."""
    more = "securityContext:\n  runAsUser: 1000\n  runAsNonRoot: true\nvolumeMounts:\n- name: v\n  mountPath: /v"
    script = ("set -e; cat /etc/hosts /etc/hostname /etc/resolv.conf >/dev/null; ls / >/dev/null\n"
              "echo x >/v/x; cat /v/x; exec sleep 1000")
    k.create(pod_yaml("nobody", shell("c", script, more), "volumes:\n- name: v\n  emptyDir: {}"))
    k.ready("nobody")
    k.wait("it could read and write", lambda: k.ok("logs nobody").out == "x\n")
    k.create(pod_yaml("root", shell("c", "sleep 1000", "securityContext:\n  runAsNonRoot: true")))

    def refused():
        statuses = k.pod("root")["status"].get("containerStatuses") or [{}]
        message = statuses[0].get("state", {}).get("waiting", {}).get("message", "")
        return message.startswith("container has runAsNonRoot and image will run as root")

    k.wait("it is refused", refused)


@scenario()
def two_containers_share_a_pod(k):
    """B3: network and volumes are shared; who wants a port that is taken crashes, and says why."""
    volume = "volumes:\n- name: shared\n  emptyDir: {}"
    mount = "volumeMounts:\n- name: shared\n  mountPath: /shared"
    k.create(pod_yaml("pair", web("first", '["--port", "8080"]') + "\n" +
                      shell("second", "echo from-second >/shared/file; exec httpd -f -p 80 -h /shared", mount) + "\n" +
                      shell("third", "sleep 1; cat /shared/file; exec sleep 1000", mount), volume))
    ip = k.ready("pair")["status"]["podIP"]
    equal(fetch(ip + ":8080", "/hostname"), (200, "pair\n"))
    equal(fetch(ip + ":80", "/file"), (200, "from-second\n"))
    k.wait("the third saw the file", lambda: "from-second" in k.ok("logs pair -c third").out)
    # kubectl before 1.31 streams exec over SPDY, which this server does not speak.
    if k.client == "knarr" or kubectl_minor() >= 31:
        k.ok("exec pair -c third -- wget -q -O - http://127.0.0.1:8080/hostname").has("^pair$")
    k.fails("logs pair -c nobody").has(r"container nobody is not valid for pod pair")
    k.create(pod_yaml("clash", web("first") + "\n" + web("second")))

    def crashed():
        done = k.any("logs clash -c second")
        return done.code == 0 and re.search(r"[Aa]ddress.*in use", done.out)

    k.wait("the second says that its port is taken", crashed)
    k.wait("it is restarted", lambda: k.container("clash", "second")["restartCount"] >= 1)
    k.wait("it backs off", lambda: "CrashLoopBackOff" in k.ok("get pods").out)
    k.ok("describe pod clash").has(r"Reason:\s+CrashLoopBackOff", r"Exit Code:\s+[1-9]", r"BackOff.*restarting failed")


@scenario()
def labels_and_annotations(k):
    """B5, with kubectl's refusals."""
    k.create(pod_yaml("one", web(), labels="app: test"))
    k.ok("label pods one env=dev").has(r"^pod/one labeled$")
    k.fails("label pods one env=prod").has(r"'env' already has a value \(dev\), and --overwrite is false")
    k.ok("label pods one env=prod --overwrite").has(r"^pod/one labeled$")
    k.ok("label pods one env=prod --overwrite").has(r"^pod/one not labeled$")
    equal(k.pod("one")["metadata"]["labels"], {"app": "test", "env": "prod"})
    # Older clients say "labeled" of a removal, too.
    old = k.client == "kubectl" and kubectl_minor() < 24
    k.ok("label pods one env-").has(r"^pod/one labeled$" if old else r"^pod/one unlabeled$")
    equal(k.pod("one")["metadata"]["labels"], {"app": "test"})
    equal(k.pod("one")["metadata"]["labels"], {"app": "test"})
    k.fails("label pods one env=-bad-").has(r"-bad-")
    k.ok(["annotate", "pods", "one", "devops-team/developer=john smith"]).has(r"^pod/one annotated$")
    equal(k.pod("one")["metadata"]["annotations"]["devops-team/developer"], "john smith")
    k.fails(["annotate", "pods", "one", "devops-team/developer=jane"]).has(r"--overwrite is false")
    equal(k.ok("get pods -l app=test -o name").out, "pod/one\n")
    k.ok("get pods -l app!=test").has(r"No resources found in " + k.namespace + " namespace")


@scenario()
def restart_back_off_and_last_state(k):
    k.create(pod_yaml("crash", shell("c", "echo run; exit 3")))
    k.wait("CrashLoopBackOff", lambda: "CrashLoopBackOff" in k.ok("get pods").out)
    status = k.container("crash")
    equal(status["lastState"]["terminated"]["exitCode"], 3)
    equal(status["lastState"]["terminated"]["reason"], "Error")
    k.event(r"BackOff Back-off restarting failed container c in pod crash_")
    equal(k.ok("logs crash --previous").out, "run\n")


@scenario()
def restart_policies(k):
    k.create(pod_yaml("never", shell("c", "exit 7"), "restartPolicy: Never"))
    k.create(pod_yaml("done", shell("c", "exit 0"), "restartPolicy: OnFailure"))
    k.wait("Failed", lambda: k.pod("never")["status"]["phase"] == "Failed")
    k.wait("Succeeded", lambda: k.pod("done")["status"]["phase"] == "Succeeded")
    equal(k.container("never")["restartCount"], 0)
    rows = k.ok("get pods").columns(["NAME", "READY", "STATUS", "RESTARTS", "AGE"])
    equal((rows["never"]["STATUS"], rows["done"]["STATUS"]), ("Error", "Completed"))


@scenario()
def out_of_memory(k):
    k.create(pod_yaml("big", shell("c", "a=x; while true; do a=$a$a; done", "resources:\n  limits:\n    memory: 16Mi"),
                      "restartPolicy: Never"))
    k.wait("Failed", lambda: k.pod("big")["status"]["phase"] == "Failed")
    ended = k.container("big")["state"]["terminated"]
    equal((ended["reason"], ended["exitCode"]), ("OOMKilled", 137))
    k.ok("get pods").has(r"^big\s+0/1\s+OOMKilled")


@scenario()
def requests_and_limits_reach_the_kernel(k):
    resources = "resources:\n  requests: {cpu: 100m, memory: 16Mi}\n  limits: {cpu: 200m, memory: 32Mi}"
    script = ("cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/cpu.max 2>/dev/null ||\n"
              "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/cpu*/cpu.cfs_quota_us\nexec sleep 1000")
    k.create(pod_yaml("limited", shell("c", script, resources)))
    k.ready("limited")
    k.wait("the limits", lambda: "33554432" in k.ok("logs limited").out)
    k.ok("logs limited").has(r"^20000\b")
    k.ok("describe pod limited").has(r"QoS Class:\s+Burstable", r"memory:\s+32Mi", r"cpu:\s+200m")
    k.ok("describe node e2e-node", ).has(r"Allocated resources", r"limited")


@scenario()
def a_pod_that_fits_nowhere_says_why(k):
    k.create(pod_yaml("huge", web(more="resources:\n  requests:\n    cpu: 1000")))
    k.create(pod_yaml("picky", web(), "nodeSelector: {disk: ssd}"))
    k.event(r"FailedScheduling 0/1 nodes are available: 1 Insufficient cpu\.")
    k.event(r"FailedScheduling 0/1 nodes are available: 1 node\(s\) didn't match Pod's node affinity/selector\.")
    k.ok("get pods").has(r"^huge\s+0/1\s+Pending")


@scenario()
def missing_images(k):
    k.create(pod_yaml("nopull", "- name: c\n  image: nobody/nothing:1\n  imagePullPolicy: Never"))
    k.wait("ErrImageNeverPull", lambda: "ErrImageNeverPull" in k.ok("get pods").out)
    k.create(pod_yaml("pull", "- name: c\n  image: 127.0.0.1:9/nothing:1"))
    k.wait("ErrImagePull", lambda: re.search(r"ErrImagePull|ImagePullBackOff", k.ok("get pods").out))
    k.wait("ImagePullBackOff", lambda: "ImagePullBackOff" in k.ok("get pods").out)
    k.event(r"Failed Failed to pull image \"127\.0\.0\.1:9/nothing:1\"")


@scenario()
def termination_grace(k):
    """TERM first; KILL once the grace is over; an own handler ends at once."""
    k.create(pod_yaml("stubborn", web(args='["--ignore-term"]')))
    k.create(pod_yaml("polite", shell("c", "trap 'echo bye; exit 0' TERM; while true; do sleep 0.1; done"),
                      ).replace("terminationGracePeriodSeconds: 1", "terminationGracePeriodSeconds: 30"))
    k.ready("stubborn")
    k.ready("polite")
    k.ok("delete pod polite", seconds=10)
    k.ok("delete pod stubborn", seconds=10)
    k.gone("pod stubborn", 2)


@scenario(clients=["knarr"])
def a_wrong_manifest_is_pointed_at(k):
    """File, line, column and the nearest field."""
    text = pod_yaml("typo", web()).replace("imagePullPolicy", "imagePulPolicy")
    line = next(i for i, row in enumerate(text.split("\n"), 1) if "imagePulPolicy" in row)
    path = f"{k.cluster.work}/typo.yaml"
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    k.fails(f"create -f {path}").has(rf"typo\.yaml:{line}:\d+", "imagePulPolicy", "imagePullPolicy")
    if k.any("get pod typo").code == 0:
        raise Failure("the pod was made")


@scenario(clients=["kubectl"])
def a_wrong_manifest_is_refused_by_the_server(k):
    text = pod_yaml("typo", web()).replace("imagePullPolicy", "imagePulPolicy")
    # Clients before 1.25 check for themselves, by the server's OpenAPI document, and word it in their own way.
    k.fails("create -f -", text).has(r'unknown field "(spec\.containers\[0\]\.)?imagePulPolicy"')
