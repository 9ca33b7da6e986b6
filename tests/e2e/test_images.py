"""Images from a registry: Debian's own on loopback, as a mirror of docker.io."""

import os
import shutil
import subprocess

from harness import Failure, Skip, pod_yaml, refused, scenario, shell, wait_until

PORT = 15500


@scenario(clients=["knarr"])
def images_come_from_a_mirror(k):
    """[sig-node] ImageVolume should succeed with pod and pull policy of Always"""
    for program in ("docker-registry", "skopeo"):
        if shutil.which(program) is None:
            raise Skip(f"no {program} on this machine")
    work = os.path.join(k.cluster.work, "registry")
    os.makedirs(work, exist_ok=True)
    config = os.path.join(work, "config.yml")
    with open(config, "w", encoding="utf-8") as file:
        file.write(f"version: 0.1\nlog: {{level: warn}}\nstorage:\n  filesystem:\n    rootdirectory: {work}/blobs\n"
                   f"http:\n  addr: 127.0.0.1:{PORT}\n")
    with open(os.path.join(work, "log"), "wb") as log:
        registry = subprocess.Popen(["docker-registry", "serve", config], stdout=log, stderr=log)
    try:
        def listens():
            try:
                return not refused("127.0.0.1", PORT)
            except Failure:
                return False

        wait_until("the registry listens", listens, 10)
        archive = os.path.join(k.cluster.work, "images", "busybox.tar")
        copied = k.cluster.run(["skopeo", "--insecure-policy", "copy", "--dest-tls-verify=false",
                                f"docker-archive:{archive}:busybox:latest", f"docker://127.0.0.1:{PORT}/library/mirrored:1"])
        if copied.code != 0:
            raise Failure(repr(copied))
        k.cluster.mirror("docker.io", f"http://127.0.0.1:{PORT}")
        command = "\n  imagePullPolicy: Always\n  command: [sleep, '1000']"
        k.create(pod_yaml("direct", f"- name: c\n  image: 127.0.0.1:{PORT}/library/mirrored:1" + command))
        k.create(pod_yaml("mirrored", "- name: c\n  image: mirrored:1" + command))
        k.create(pod_yaml("missing", "- name: c\n  image: nothing:1"))
        volume = "volumes:\n- name: v\n  image: {reference: mirrored:1, pullPolicy: Always}"
        k.create(pod_yaml("shows", shell("c", "ls /v/bin/busybox; touch /v/x || echo refused; exec sleep 1000",
                                         "volumeMounts:\n- {name: v, mountPath: /v}"), volume))
        k.ready("shows")
        k.wait("it sees the image", lambda: k.ok("logs shows").has(r"^/v/bin/busybox$", r"^refused$"))
        k.ready("direct")
        k.ready("mirrored")
        k.event(r'Pulling Pulling image "mirrored:1"')
        k.event(r'Pulled Successfully pulled image "mirrored:1" in ')
        k.wait("ImagePullBackOff", lambda: "ImagePullBackOff" in k.ok("get pods").out, 60)
        if not k.cluster.runtime:
            k.cluster.run([k.cluster.binary, "docker", "images"]).has(
                r"^(docker\.io/library/)?mirrored\s+1\s+[0-9a-f]{12}\s")
    finally:
        registry.terminate()
        registry.wait()


@scenario(clients=["knarr"])
def loaded_images_are_listed(k):
    k.only_own_engine("its images are not listed by knarr docker")
    done = k.cluster.run([k.cluster.binary, "docker", "images"])
    done.has(r"^REPOSITORY\s+TAG\s+IMAGE ID\s+CREATED\s+SIZE$", r"^knarr/hello\s+1\s+[0-9a-f]{12}\s", r"^busybox\s+latest\s")
