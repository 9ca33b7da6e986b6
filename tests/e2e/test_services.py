"""ClusterIP and NodePort Services, from the machine and from pods."""

from harness import NODE_IP, Failure, equal, fetch, pod_yaml, refused, scenario, shell, web
from test_workloads import controller_yaml


def service_yaml(name, app, kind="NodePort"):
    return (f"apiVersion: v1\nkind: Service\nmetadata:\n  name: {name}\nspec:\n  type: {kind}\n  selector:\n    app: {app}\n"
            "  ports:\n  - port: 80\n    targetPort: 8080\n")


def answers(address, count=30):
    return {fetch(address, "/hostname")[1].strip() for _ in range(count)}


@scenario()
def a_service_spreads_over_its_pods(k):
    k.create(service_yaml("front", "rs"))
    spec = k.object("service front")["spec"]
    ip, port = spec["clusterIP"], spec["ports"][0]["nodePort"]
    row = k.ok("get services").columns(["NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "AGE"])["front"]
    equal((row["TYPE"], row["CLUSTER-IP"], row["EXTERNAL-IP"], row["PORT(S)"]), ("NodePort", ip, "<none>", f"80:{port}/TCP"))
    k.wait("no endpoints: refused", lambda: refused(ip, 80), 10)
    k.create(controller_yaml("ReplicaSet", "rs", 3, "    matchLabels:\n      app: rs"))
    k.wait("three are ready", lambda: k.object("rs rs")["status"].get("readyReplicas") == 3)
    pods = {p["metadata"]["name"] for p in k.items("pods")}
    k.wait("all three answer", lambda: answers(f"{ip}:80") == pods)
    equal(answers(f"127.0.0.1:{port}") <= pods, True)
    equal(answers(f"{NODE_IP}:{port}") <= pods, True)
    k.create(pod_yaml("client", shell("c", "exec sleep 1000"), labels="app: client"))
    k.ready("client")
    done = k.cluster.run([k.cluster.binary, "kubectl", "-n", k.namespace, "exec", "client", "--", "wget", "-q", "-O", "-",
                          f"http://{ip}/hostname"])
    equal(done.out.strip() in pods, True, repr(done))
    k.ok("describe service front").has(r"^Selector:\s+app=rs$", r"^Endpoints:\s+10\.88\.", rf"NodePort:\s+<unset>\s+{port}/TCP")
    k.ok("get endpointslices").has(r"^front-\S+\s+IPv4\s+8080\s+10\.88\.")
    k.ok("scale rs rs --replicas=0")
    k.wait("no endpoints again: refused", lambda: refused(ip, 80), 15)
    k.ok("delete service front").has(r'^service "front".* deleted')


@scenario()
def a_pod_reaches_itself_through_its_service(k):
    k.create(service_yaml("self", "one", "ClusterIP"))
    k.create(pod_yaml("one", web() + "\n" + shell("client", "exec sleep 1000"), labels="app: one"))
    k.ready("one")
    ip = k.object("service self")["spec"]["clusterIP"]

    def check():
        done = k.cluster.run([k.cluster.binary, "kubectl", "-n", k.namespace, "exec", "one", "-c", "client", "--", "wget",
                              "-q", "-O", "-", f"http://{ip}/hostname"])
        if done.out != "one\n":
            raise Failure(repr(done))
        return True

    k.wait("its own answer", check, 15)
