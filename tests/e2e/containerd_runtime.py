"""A containerd of its own for end-to-end tests: its own folders, socket and configuration, in the namespaces of the run.
Its OCI runtime is crun unless told otherwise."""

import os
import shutil
import subprocess

from harness import Failure, wait_until

# What says most about another runtime in the least time: pods and their ends, logs, commands, volumes, probes, images,
# the network, and a server that dies.
SHORT = {
    "pod_runs_and_is_shown", "two_containers_share_a_pod", "restart_policies", "missing_images", "termination_grace",
    "requests_and_limits_reach_the_kernel", "logs", "logs_follow_until_the_end", "exec_runs_in_the_container",
    "exec_with_a_terminal", "attach_to_what_runs", "port_forward", "liveness_by_exec", "sub_paths",
    "config_and_secret_files_follow_their_source", "images_come_from_a_mirror", "image_volumes", "host_ports",
    "a_service_spreads_over_its_pods", "containers_outlive_the_server",
}

CONFIG = """version = 2
root = "{folder}/root"
state = "{folder}/state"
[grpc]
  address = "{folder}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "knarr/pause:1"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{folder}/cni/bin"
    conf_dir = "{folder}/cni/net.d"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "{folder}/registries"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "tests"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.tests]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.tests.options]
        BinaryName = "{oci_runtime}"
        SystemdCgroup = false
"""


def installed():
    return all(shutil.which(program) for program in ("containerd", "ctr", "containerd-shim-runc-v2"))


class Containerd:
    name = "containerd"

    def __init__(self, folder, oci_runtime):
        self.folder, self.process = folder, None
        self.socket = os.path.join(folder, "containerd.sock")
        self.config = os.path.join(folder, "config.toml")
        for part in ("cni/bin", "cni/net.d", "registries"):
            os.makedirs(os.path.join(folder, part))
        program = shutil.which(oci_runtime)
        if program is None:
            raise RuntimeError(f"no {oci_runtime} on this machine")
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(CONFIG.format(folder=folder, oci_runtime=program))

    def start(self):
        with open(os.path.join(self.folder, "log"), "ab") as log:
            self.process = subprocess.Popen(["containerd", "--config", self.config], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, start_new_session=True)

        def answers():
            if self.process.poll() is not None:
                raise RuntimeError(f"containerd ended with {self.process.returncode}; see {self.folder}/log")
            return subprocess.run(["ctr", "-a", self.socket, "version"], capture_output=True, check=False).returncode == 0

        wait_until("containerd answers", answers, 20)

    def stop(self):
        """Pods go on running, if there are any."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise Failure("containerd did not end within 20 s of SIGTERM") from None
        finally:
            self.process = None

    def flags(self):
        return ["--container-runtime-endpoint", f"unix://{self.socket}"]

    def load_command(self):
        return ["ctr", "-a", self.socket, "-n", "k8s.io", "images", "import"]

    def mirror(self, registry, url):
        folder = os.path.join(self.folder, "registries", registry)
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "hosts.toml"), "w", encoding="utf-8") as file:
            file.write(f'server = "{url}"\n[host."{url}"]\n  capabilities = ["pull", "resolve"]\n')
