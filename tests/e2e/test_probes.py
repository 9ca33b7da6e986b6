"""B8: liveness and readiness by http, tcp and exec."""

from harness import equal, pod_yaml, scenario, shell, web

# The delay: with a threshold of one, a server that has not opened its port yet would be killed.
FAST = "  initialDelaySeconds: 1\n  periodSeconds: 1\n  failureThreshold: 1\n"


@scenario()
def liveness_by_http(k):
    probe = "livenessProbe:\n  httpGet:\n    path: /healthz\n    port: 8080\n" + FAST
    k.create(pod_yaml("sick", web(args='["--fail-health-after", "2"]', more=probe)))
    k.create(pod_yaml("well", web(more=probe)))
    k.event(r"Unhealthy Liveness probe failed: HTTP probe failed with statuscode: 404")
    k.event(r"Killing Container web failed liveness probe, will be restarted")
    k.wait("it is restarted", lambda: k.container("sick")["restartCount"] >= 1)
    equal(k.container("well")["restartCount"], 0)
    k.ok("describe pod sick").has(r"Liveness:\s+http-get http://:8080/healthz delay=1s timeout=1s period=1s #success=1")


@scenario()
def liveness_by_tcp(k):
    probe = "livenessProbe:\n  tcpSocket:\n    port: {}\n" + FAST
    k.create(pod_yaml("closed", shell("c", "exec sleep 1000", probe.format(81))))
    k.create(pod_yaml("open", web(more=probe.format(8080))))
    k.event(r"Unhealthy Liveness probe failed: dial tcp 10\.88\.\d+\.\d+:81: connect: connection refused")
    k.wait("it is restarted", lambda: k.container("closed")["restartCount"] >= 1)
    equal(k.container("open")["restartCount"], 0)


@scenario()
def liveness_by_exec(k):
    probe = "livenessProbe:\n  exec:\n    command: {}\n" + FAST
    k.create(pod_yaml("well", web(more=probe.format('["/hello", "check"]'))))
    k.create(pod_yaml("sick", shell("c", "touch /tmp/ok; sleep 2; rm /tmp/ok; exec sleep 1000",
                                    probe.format("[cat, /tmp/ok]"))))
    k.event(r"Unhealthy Liveness probe failed: .*No such file")
    k.wait("it is restarted", lambda: k.container("sick")["restartCount"] >= 1)
    equal(k.container("well")["restartCount"], 0)


@scenario()
def readiness_decides_who_gets_traffic(k):
    probe = "readinessProbe:\n  exec:\n    command: [cat, /tmp/ready]\n" + FAST
    k.create(pod_yaml("slow", shell("c", "exec sleep 1000", probe)))
    k.create("apiVersion: v1\nkind: Service\nmetadata:\n  name: slow\nspec:\n  selector:\n    app: test\n"
             "  ports:\n  - port: 80\n")
    k.event(r"Unhealthy Readiness probe failed")
    k.ok("get pods").has(r"^slow\s+0/1\s+Running")
    equal(k.object("endpoints slow").get("subsets", [])[0].get("addresses"), None)
    k.cluster.run([k.cluster.binary, "kubectl", "-n", k.namespace, "exec", "slow", "--", "touch", "/tmp/ready"])
    k.ready("slow")
    k.wait("an address", lambda: k.object("endpoints slow")["subsets"][0].get("addresses"))
    equal(k.container("slow")["restartCount"], 0)
