"""B7, B9, B11: namespaces, run, ReplicationControllers and ReplicaSets."""

from harness import equal, pod_yaml, scenario, web


def controller_yaml(kind, name, replicas, selector):
    group = "v1" if kind == "ReplicationController" else "apps/v1"
    return f"""apiVersion: {group}
kind: {kind}
metadata:
  name: {name}
spec:
  replicas: {replicas}
  selector:
{selector}
  template:
    metadata:
      labels:
        app: {name}
        tier: front
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: web
        image: knarr/hello:1
        imagePullPolicy: Never
"""


def names(k, label):
    return sorted(p["metadata"]["name"] for p in k.items(f"pods -l {label}") if "deletionTimestamp" not in p["metadata"])


def keep_count(k, kind, name, short):
    label = f"app={name}"
    k.wait("three are ready", lambda: k.object(f"{short} {name}")["status"].get("readyReplicas") == 3)
    row = k.ok(f"get {short}").columns(["NAME", "DESIRED", "CURRENT", "READY", "AGE"])[name]
    equal((row["DESIRED"], row["CURRENT"], row["READY"]), ("3", "3", "3"))
    gone = names(k, label)[0]
    k.ok(f"delete pod {gone}").has("deleted")
    k.wait("three again", lambda: len(names(k, label)) == 3 and gone not in names(k, label))
    k.event(rf"SuccessfulCreate Created pod: {name}-")
    k.ok(f"scale {short} {name} --replicas=5").has(r"scaled$")
    k.wait("five are ready", lambda: k.object(f"{short} {name}")["status"].get("readyReplicas") == 5)
    k.ok(f"scale {short} {name} --replicas=2").has(r"scaled$")
    k.wait("two", lambda: len(names(k, label)) == 2)
    k.fails(f"scale {short} {name} --replicas=3 --current-replicas=9").has(r"Expected replicas to be 9, was 2")
    k.ok(f"describe {short} {name}").has(r"Replicas:\s+2 current / 2 desired", r"SuccessfulDelete")
    k.ok(f"delete {short} {name}").has(rf'"{name}".* deleted')
    k.wait("all pods go", lambda: not k.items(f"pods -l {label}"))


@scenario()
def replica_set_keeps_its_count(k):
    selector = "    matchLabels:\n      app: rs\n    matchExpressions:\n    - {key: tier, operator: In, values: [front, back]}"
    k.create(controller_yaml("ReplicaSet", "rs", 3, selector))
    keep_count(k, "ReplicaSet", "rs", "rs")


@scenario()
def replication_controller_keeps_its_count(k):
    k.create(controller_yaml("ReplicationController", "old", 3, "    app: old"))
    keep_count(k, "ReplicationController", "old", "rc")


@scenario()
def replica_set_adopts_and_releases(k):
    k.create(pod_yaml("orphan", web(), labels="app: rs\ntier: front"))
    k.ready("orphan")
    k.create(controller_yaml("ReplicaSet", "rs", 2, "    matchLabels:\n      app: rs"))
    k.wait("two", lambda: len(names(k, "app=rs")) == 2)
    equal("orphan" in names(k, "app=rs"), True, "the orphan is adopted")
    k.ok("label pod orphan app=free --overwrite")
    k.wait("another in its place", lambda: len(names(k, "app=rs")) == 2)
    k.wait("it is free", lambda: "ownerReferences" not in k.pod("orphan")["metadata"])


@scenario()
def delete_without_cascade(k):
    k.create(controller_yaml("ReplicaSet", "rs", 2, "    matchLabels:\n      app: rs"))
    k.wait("two are ready", lambda: k.object("rs rs")["status"].get("readyReplicas") == 2)
    before = names(k, "app=rs")
    k.ok("delete rs rs --cascade=orphan")
    k.gone("rs rs")
    equal(names(k, "app=rs"), before)


@scenario()
def run_makes_a_pod(k):
    """B9 in its new form."""
    k.ok("run myweb-1st-app --image=knarr/hello:1 --image-pull-policy=Never --port=8080 --env=A=b").has(
        r"^pod/myweb-1st-app created$")
    pod = k.ready("myweb-1st-app")
    equal(pod["metadata"]["labels"], {"run": "myweb-1st-app"})
    equal(pod["spec"]["containers"][0]["ports"], [{"containerPort": 8080, "protocol": "TCP"}])
    k.ok("run dry --image=x --dry-run=client -o yaml").has(r"^kind: Pod$", r"image: x")
    k.fails("get pod dry")
    k.fails("run --image=x").has(r"NAME is required for run")
    k.ok("expose pod myweb-1st-app --name=front --port=80 --target-port=8080").has(r"^service/front exposed$")
    equal(k.object("service front")["spec"]["selector"], {"run": "myweb-1st-app"})
    k.ok("delete pod,service --all").has(r"pod \"myweb-1st-app\"", r"service \"front\"")


@scenario()
def namespaces(k):
    """B7: the same name in two namespaces; what is in one goes with it."""
    other = k.namespace + "-dev"
    k.ok(f"create namespace {other}").has(rf"^namespace/{other} created$")
    k.fails(f"create namespace {other}").has(rf'namespaces "{other}" already exists')
    k.ok("get namespaces").has(rf"^{other}\s+Active", r"^default\s+Active", r"^kube-system\s+Active")
    pod = pod_yaml("same", web())
    k.create(pod)
    k.ok(f"create -f - -n {other}", pod)
    k.wait("its ServiceAccount", lambda: k.any(f"get serviceaccount default -n {other}").code == 0)
    k.ok("get pods -A").has(rf"^{k.namespace}\s+same", rf"^{other}\s+same")
    k.fails("create -f - -n nowhere", pod).has(r'namespaces "nowhere" not found')
    k.ok(f"create configmap settings --from-literal=a=b -n {other}").has(r"^configmap/settings created$")
    k.ok(f"delete configmaps --all -n {other}")
    k.ok(f"delete namespace {other}").has(rf'^namespace "{other}" deleted')
    k.fails(f"get namespace {other}").has("not found")
    k.fails(f"get pod same -n {other}").has("not found")
    k.ok("get pod same")


@scenario()
def finalizers_hold_a_namespace(k):
    other = k.namespace + "-held"
    k.ok(f"create namespace {other}")
    k.ok(f"create -f - -n {other}", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: held\n"
         "  finalizers: [example.com/hold]\n")
    k.ok(f"delete namespace {other} --wait=false")
    k.wait("Terminating", lambda: k.object(f"namespace {other}")["status"]["phase"] == "Terminating")
    k.wait("the map waits", lambda: "deletionTimestamp" in k.object(f"configmap held -n {other}")["metadata"])
    k.fails(f"create configmap late -n {other}").has(r"because it is being terminated")
    k.ok(f"apply -f - -n {other}", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: held\n  finalizers: []\n")
    done = k.any(f"get configmap held -n {other} -o json")
    if done.code == 0 and "example.com/hold" in done.out:
        # apply alone can't take away what it did not put there.
        text = done.out.replace('"example.com/hold"', "")
        k.cluster.run(["kubectl", "replace", "-n", other, "-f", "-"], stdin=text)
    k.gone(f"namespace {other}")
