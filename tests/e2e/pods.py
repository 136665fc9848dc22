"""A small node of Kubernetes: starts the containers of pods as their specs say, in network namespaces.

    node = Node(test, images)
    node.apply(documents)                 # ConfigMaps, Secrets, Services and Pods; see pods_of()
    pod = node.pods["users-0"]            # started: init containers in order, then the others

What is followed of a spec: order of init containers, native sidecars with their startup probes, command,
args, env, users, capabilities, read-only roots, volumes of ConfigMaps and Secrets with the kubelet's links,
DNS with Services.  What is not: resources, seccomp, images other than those given.  A field that is not
known here is an error.
"""

import base64
import ctypes
import http.client
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading

import sidecar
from capture_test import namespace, run

CONTAINER = os.path.join(sidecar.ROOT, "tests", "support", "container.py")
SUBNET, CLUSTER_IP = "10.88.0", "10.99.0.1"  # pods' addresses, and a Service's, which nobody has
KNOWN = {"name", "image", "command", "args", "env", "ports", "restartPolicy", "startupProbe", "readinessProbe",
         "livenessProbe", "resources", "securityContext", "volumeMounts"}
KNOWN_POD = {"serviceAccountName", "securityContext", "initContainers", "containers", "volumes"}
_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1


def pods_of(workload):
    """The pods that a Deployment would make: (name, template)."""
    for number in range(workload["spec"].get("replicas", 1)):
        yield f"{workload['metadata']['name']}-{number}", workload["spec"]["template"]


class Volume:
    """A ConfigMap or Secret as files, in the kubelet's layout: NAME -> ..data/NAME, ..data -> ..VERSION."""

    def __init__(self, directory, files, mode):
        self.directory, self.mode, self.version = directory, mode, 0
        os.makedirs(directory)
        for name in files:
            os.symlink(os.path.join("..data", name), os.path.join(directory, name))
        self.write(files)

    def write(self, files):
        """One rename makes all of the new files visible."""
        before = f"..{self.version}"
        self.version += 1
        folder = os.path.join(self.directory, f"..{self.version}")
        os.mkdir(folder, 0o755)
        for name, content in files.items():
            path = os.path.join(folder, name)
            with open(path, "wb") as out:
                out.write(content)
            os.chmod(path, self.mode)
        link = os.path.join(self.directory, "..data_tmp")
        os.symlink(f"..{self.version}", link)
        os.rename(link, os.path.join(self.directory, "..data"))
        shutil.rmtree(os.path.join(self.directory, before), ignore_errors=True)


class Container:
    def __init__(self, pod, spec):
        assert set(spec) <= KNOWN, f"unknown fields of a container: {set(spec) - KNOWN}"
        self.pod, self.spec, self.name = pod, spec, spec["name"]
        self.is_sidecar = spec.get("restartPolicy") == "Always"
        self.directory = os.path.join(pod.directory, self.name)
        os.makedirs(self.directory, 0o755)
        self.log = os.path.join(self.directory, "log")
        image = pod.node.images[spec["image"]]
        security = pod.spec.get("securityContext", {}) | spec.get("securityContext", {})
        uid = security.get("runAsUser", image.user[0])
        assert uid != 0 or not security.get("runAsNonRoot"), f"{self.name} must not run as root"
        capabilities = security.get("capabilities", {})
        assert capabilities.get("drop") == ["ALL"], f"{self.name} keeps capabilities"
        self.uid = uid
        given = {"root": self.make_root(image), "read_only": security["readOnlyRootFilesystem"],
                 "mounts": self.mounts(image), "uid": uid, "gid": security.get("runAsGroup", image.user[1]),
                 "capabilities": capabilities.get("add", []),
                 "no_new_privileges": security["allowPrivilegeEscalation"] is False,
                 "environment": image.environment | dict(self.environment()), "directory": "/",
                 "command": spec.get("command", image.entrypoint) + spec.get("args", [])}
        self.path = os.path.join(self.directory, "spec.json")
        with open(self.path, "w") as out:
            json.dump(given, out)
        self.start()

    def make_root(self, image):
        root = os.path.join(self.directory, "root")
        shutil.copytree(image.root, root, symlinks=True, copy_function=os.link)
        return root

    def mounts(self, image):
        places = {mount["name"]: mount for mount in self.spec.get("volumeMounts", [])}
        out = [["/dev", "/dev", False], [self.pod.file("resolv.conf"), "/etc/resolv.conf", True],
               [self.pod.file("hosts"), "/etc/hosts", True], *image.mounts]
        for name, mount in places.items():
            assert set(mount) <= {"name", "mountPath", "readOnly"}, mount
            out.append([self.pod.volumes[name].directory, mount["mountPath"], mount.get("readOnly", False)])
        return out

    def environment(self):
        for variable in self.spec.get("env", []):
            value = variable.get("value")
            if value is None:
                assert variable["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.name"}}, variable
                value = self.pod.name
            yield variable["name"], value

    def start(self):
        log = os.open(self.log, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        os.chown(self.log, self.uid, -1)  # a runtime gives the standard streams to the container's user
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", self.pod.namespace, sys.executable, CONTAINER, self.path], stdin=subprocess.DEVNULL,
            stdout=log, stderr=log, preexec_fn=lambda: _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL))
        os.close(log)

    def log_text(self):
        return sidecar.read(self.log)

    def finish(self):
        """An init container that ends."""
        code = self.process.wait(sidecar.DEADLINE)
        assert code == 0, f"{self.name} ended with {code}:\n{self.log_text()}"

    def probe(self, kind):
        """The status of an httpGet probe, called from the node; None if nobody answers."""
        get = self.spec[kind]["httpGet"]
        ports = {port.get("name"): port["containerPort"] for port in self.spec.get("ports", [])}
        return self.pod.get(ports.get(get["port"], get["port"]), get["path"])[0]

    def wait_probe(self, kind, wanted=200):
        def look():
            assert self.process.poll() is None, f"{self.name} ended with {self.process.returncode}:\n{self.log_text()}"
            return self.probe(kind) == wanted
        sidecar.until(lambda: f"{kind} of {self.name} is {self.probe(kind)}:\n{self.log_text()}", look)

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class Pod:
    def __init__(self, node, name, template, address):
        self.node, self.name, self.template, self.spec = node, name, template, template["spec"]
        assert set(self.spec) <= KNOWN_POD, f"unknown fields of a pod: {set(self.spec) - KNOWN_POD}"
        self.address, self.namespace = address, f"{node.prefix}-{name}"
        self.directory = os.path.join(node.directory, name)
        self.sidecars, self.containers = [], {}
        os.makedirs(self.directory, 0o755)
        node.join(self.namespace, address)
        self.volumes = {volume["name"]: self.make_volume(volume) for volume in self.spec.get("volumes", [])}
        self.make_names()

    def file(self, name):
        return os.path.join(self.directory, name)

    def make_names(self):
        with open(self.file("resolv.conf"), "w") as out:
            out.write(f"nameserver {self.node.gateway}\n"
                      "search shop.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n")
        with open(self.file("hosts"), "w") as out:
            out.write(f"127.0.0.1 localhost\n{self.address} {self.name}\n")

    def make_volume(self, volume):
        kind = (set(volume) - {"name"}).pop()
        source = volume[kind]
        name = source["name"] if kind == "configMap" else source["secretName"]
        return Volume(self.file("volume-" + volume["name"]), self.node.objects[kind, name],
                      source.get("defaultMode", 0o644))

    def start(self):
        for spec in self.spec.get("initContainers", []):
            container = self.containers[spec["name"]] = Container(self, spec)
            if container.is_sidecar:
                self.sidecars.append(container)
                container.wait_probe("startupProbe")
            else:
                container.finish()
        for spec in self.spec["containers"]:
            self.containers[spec["name"]] = Container(self, spec)
        return self

    def is_ready(self):
        return all(container.probe("readinessProbe") == 200 for container in self.containers.values()
                   if "readinessProbe" in container.spec)

    def wait_ready(self):
        sidecar.until(lambda: f"{self.name} is ready: {self.logs()}", self.is_ready)

    def logs(self):
        return "\n".join(f"--- {name}\n{each.log_text()[-3000:]}" for name, each in self.containers.items())

    def get(self, port, path, host=None):
        """(status, text, header) of a call from the node; (None, reason, None) if there is no answer."""
        return self.node.get(self.address, port, path, host)

    def stop(self):
        """The app first, then its sidecars, last to first."""
        for container in self.containers.values():
            if container not in self.sidecars:
                container.stop()
        for container in reversed(self.sidecars):
            container.stop()


class Node:
    """The network, DNS, and objects; everything ends with `test`."""

    def __init__(self, test, images):
        self.test, self.images = test, images
        self.prefix = f"pk{os.getpid()}"
        self.namespace, self.gateway = self.prefix + "-node", SUBNET + ".1"
        self.directory = tempfile.mkdtemp(prefix="pillion-node-")
        os.chmod(self.directory, 0o755)
        self.namespaces, self.pods, self.objects, self.services, self.dns_thread = [], {}, {}, {}, None
        test.addClassCleanup(self.end)
        self.add_namespace(self.namespace)
        run("ip", "-n", self.namespace, "link", "add", "br0", "type", "bridge")
        run("ip", "-n", self.namespace, "address", "add", self.gateway + "/24", "dev", "br0")
        run("ip", "-n", self.namespace, "link", "set", "br0", "up")
        self.serve_dns()

    def add_namespace(self, name):
        self.namespaces.append(name)
        run("ip", "netns", "add", name)
        run("ip", "-n", name, "link", "set", "lo", "up")

    def join(self, name, address):
        self.add_namespace(name)
        outside = f"v{address.rpartition('.')[2]}"
        run("ip", "-n", name, "link", "add", "eth0", "type", "veth", "peer", "name", outside, "netns", self.namespace)
        run("ip", "-n", self.namespace, "link", "set", outside, "master", "br0", "up")
        run("ip", "-n", name, "address", "add", address + "/24", "dev", "eth0")
        run("ip", "-n", name, "link", "set", "eth0", "up")
        run("ip", "-n", name, "route", "add", "default", "via", self.gateway)

    # ---- objects ----

    def apply(self, documents):
        for document in documents:
            kind, name = document["kind"], document["metadata"]["name"]
            if kind == "ConfigMap":
                self.objects["configMap", name] = {key: text.encode() for key, text in document["data"].items()}
            elif kind == "Secret":
                self.objects["secret", name] = {key: base64.b64decode(text)
                                                for key, text in document["data"].items()}
            elif kind == "Service":
                self.services[f"{name}.shop.svc.cluster.local"] = document["spec"]
        for document in documents:
            if document["kind"] == "Deployment":
                for name, template in pods_of(document):
                    self.pods[name] = Pod(self, name, template, f"{SUBNET}.{10 + len(self.pods)}").start()

    def change_config_map(self, name, files):
        """As the kubelet brings a changed ConfigMap into the pods that mount it."""
        self.objects["configMap", name] = files
        for pod in self.pods.values():
            for volume in pod.spec.get("volumes", []):
                if volume.get("configMap", {}).get("name") == name:
                    pod.volumes[volume["name"]].write(files)

    # ---- network ----

    def get(self, address, port, path, host=None):
        connection = http.client.HTTPConnection(address, port, timeout=5)
        try:
            with namespace(self.namespace):
                connection.connect()
            connection.request("GET", path, headers={"Host": host} if host else {})
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), answer.headers
        except (OSError, http.client.HTTPException) as error:
            return None, str(error), None
        finally:
            connection.close()

    def addresses_of(self, name):
        """The A records of a Service: its own address, or its pods'; None if there is no such name."""
        spec = self.services.get(name)
        if spec is None:
            return None
        if spec.get("clusterIP") != "None":
            return [CLUSTER_IP]
        wanted = spec["selector"].items()
        return [pod.address for pod in list(self.pods.values())
                if wanted <= pod.template["metadata"]["labels"].items()]

    def serve_dns(self):
        with namespace(self.namespace):
            self.dns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.dns.bind((self.gateway, 53))
        self.dns_thread = threading.Thread(target=self.answer_dns, daemon=True)
        self.dns_thread.start()

    def answer_dns(self):
        while True:
            query, peer = self.dns.recvfrom(4096)
            if not query:
                return
            self.dns.sendto(self.answer_to(query), peer)

    def answer_to(self, query):
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode().lower())
            at += query[at] + 1
        question = query[12:at + 5]
        addresses = self.addresses_of(".".join(labels))
        code = 3 if addresses is None else 0
        records = addresses or [] if question[-4:-2] == b"\x00\x01" else []
        head = query[:2] + struct.pack("!HHHHH", 0x8580 | code, 1, len(records), 0, 0)
        return head + question + b"".join(
            struct.pack("!HHHIH", 0xc00c, 1, 1, 1, 4) + socket.inet_aton(address) for address in records)

    def end(self):
        for pod in self.pods.values():
            pod.stop()
        if self.dns_thread:
            self.dns.sendto(b"", (self.gateway, 53))  # ends it
            self.dns_thread.join()
            self.dns.close()
        for name in self.namespaces:
            run("ip", "netns", "delete", name, check=False)
        shutil.rmtree(self.directory, ignore_errors=True)
