"""What a pod sees of names, and where its ports show: hostPort, hostAliases, hostname, DNS."""

import subprocess

from harness import NODE_IP, equal, Failure, fetch, pod_yaml, refused, scenario, shell, web

LONG = "a" * 40


@scenario(clients=["knarr"])
def host_ports(k):
    ports = "ports:\n- {containerPort: 8080, hostPort: 18080}\n- {containerPort: 9090, hostPort: 19090, protocol: UDP}"
    k.create(pod_yaml("everywhere", web("c", more=ports)))
    k.ready("everywhere")
    equal(fetch(f"{NODE_IP}:18080", "/hostname"), (200, "everywhere\n"))
    equal(fetch("127.0.0.1:18080", "/hostname"), (200, "everywhere\n"))
    one = "ports:\n- {containerPort: 8080, hostPort: 18081, hostIP: 127.0.0.1}"
    k.create(pod_yaml("here", web("c", more=one)))
    k.ready("here")
    equal(fetch("127.0.0.1:18081", "/hostname"), (200, "here\n"))
    if not refused(NODE_IP, 18081):
        raise Failure("a port of one address answers on another")
    # From another pod, and from a pod that asks itself.
    itself = "ports:\n- {containerPort: 8080, hostPort: 18082}"
    k.create(pod_yaml("asks", web("c", more=itself) + "\n" + shell("asker", "exec sleep 1000")))
    k.ready("asks")
    k.ok(f"exec asks -c asker -- wget -q -O - http://{NODE_IP}:18080/hostname").has("^everywhere$")
    k.ok(f"exec asks -c asker -- wget -q -O - http://{NODE_IP}:18082/hostname").has("^asks$")
    k.cluster.kill()
    k.cluster.start()
    equal(fetch(f"{NODE_IP}:18080", "/hostname"), (200, "everywhere\n"))
    k.ok("delete pod everywhere")
    if not refused(NODE_IP, 18080):
        raise Failure("the port is still led somewhere")
    rules = subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True, check=True).stdout
    if "18080" in rules or "port/6/any/18080" in rules:
        raise Failure("rules are left of a pod that is gone")


@scenario(clients=["knarr"])
def names_in_a_pod(k):
    spec = ("hostname: box\nsubdomain: sub\nhostAliases:\n- {ip: 192.0.2.99, hostnames: [one, two]}\n"
            "dnsPolicy: None\ndnsConfig:\n  nameservers: [192.0.2.53]\n  searches: [a.example, b.example]\n"
            "  options:\n  - {name: ndots, value: '2'}\n  - {name: edns0}")
    k.create(pod_yaml("named", shell("c", "hostname; cat /etc/hosts /etc/resolv.conf; exec sleep 1000"), spec))
    ip = k.ready("named")["status"]["podIP"]
    name = f"box.sub.{k.namespace}.svc.cluster.local"
    k.wait("what it sees", lambda: k.ok("logs named").has(
        "^box$", f"^{ip}\tbox.sub.{k.namespace}.svc.cluster.local\tbox$",
        "^192.0.2.99\tone\ttwo$", "^search a.example b.example\nnameserver 192.0.2.53\noptions ndots:2 edns0$"))
    k.create(pod_yaml("whole", shell("c", "hostname; exec sleep 1000"),
                      "hostname: box\nsubdomain: sub\nsetHostnameAsFQDN: true"))
    k.ready("whole")
    k.wait("its whole name", lambda: k.ok("logs whole").out == name + "\n")
    k.create(pod_yaml("toolong", shell("c", "exec sleep 1000"),
                      f"hostname: {LONG}\nsubdomain: sub\nsetHostnameAsFQDN: true"))
    k.event(r"FailedCreatePodSandBox Failed to create pod sandbox: failed to construct FQDN from pod hostname and "
            r"cluster domain, FQDN aaa.* is too long \(64 characters is the max, \d+ characters requested\)")
    k.create(pod_yaml("falls-back", shell("c", "exec sleep 1000")))
    k.event(r'MissingClusterDNS pod: "falls-back_.*". kubelet does not have ClusterDNS IP configured and cannot create '
            r'Pod using "ClusterFirst" policy. Falling back to "Default" policy.')
