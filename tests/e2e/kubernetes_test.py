#!/usr/bin/env python3
"""The retail example's manifests, injected, as a kubelet would run them: see pods.py."""

import os
import shutil
import subprocess
import tempfile
import types
import unittest

import image
import kubernetes
import sidecar
from capture_test import cannot_run
from pods import Node, Pod

MANIFESTS = os.path.join(sidecar.ROOT, "deploy", "kubernetes")
UID = 1337


def manifest(name):
    return sidecar.read(os.path.join(MANIFESTS, name))


def pillion(*arguments, **options):
    return subprocess.run([sidecar.PILLION, *arguments], capture_output=True, text=True, check=True, **options).stdout


def setUpModule():
    if reason := cannot_run():
        raise unittest.SkipTest(reason)


def python_image(directory):
    """Stands for python:3.11-slim: the Python of this machine, and nothing else of it."""
    root = os.path.join(directory, "python")
    for folder in ("etc", "tmp"):
        os.makedirs(os.path.join(root, folder))
    for folder in ("bin", "lib", "lib64"):
        os.symlink("usr/" + folder, os.path.join(root, folder))
    return types.SimpleNamespace(root=root, environment={"PATH": "/usr/bin"}, entrypoint=[], command=[], user=(0, 0),
                                 mounts=[["/usr", "/usr", True]])


class InjectedPods(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        directory = tempfile.mkdtemp(prefix="pillion-images-")
        cls.addClassCleanup(shutil.rmtree, directory)
        os.chmod(directory, 0o755)
        mesh = image.build(directory)
        mesh.mounts = []
        cls.node = Node(cls, {"pillion:dev": mesh, "python:3.11-slim": python_image(directory)})
        secrets = subprocess.run([os.path.join(MANIFESTS, "generate"), os.path.join(directory, "ca")], check=True,
                                 capture_output=True, text=True, env=os.environ | {"PILLION": sidecar.PILLION}).stdout
        injected = pillion("inject", "-f", os.path.join(MANIFESTS, "workloads.yaml"))
        for text in (secrets, manifest("config.yaml"), injected):
            cls.node.apply(kubernetes.load(text))
        cls.customer, cls.users = cls.node.pods["customer-0"], cls.node.pods["users-0"]
        for pod in cls.node.pods.values():
            pod.wait_ready()

    def call(self, path):
        return self.customer.get(8080, path)

    def wait_call(self, path, status):
        sidecar.until(lambda: f"{status} of {path}, got {self.call(path)}\n{self.customer.logs()}",
                      lambda: self.call(path)[0] == status)

    def test_a_call_goes_through_both_sidecars_under_mutual_tls(self):
        self.wait_call("/customers/7/profile", 200)  # DNS may have answered before there were pods
        status, text, _ = self.call("/customers/echo")
        self.assertEqual(status, 200, text)
        self.assertIn("URI=spiffe://mesh.local/ns/shop/sa/customer", text)
        self.assertIn("By=spiffe://mesh.local/ns/shop/sa/users", text)

    def test_both_replicas_serve(self):
        served = set()

        def look():
            status, text, _ = self.call("/customers/7/profile")
            if status == 200:
                served.update(name for name in ("users-0", "users-1") if name in text)
            return len(served) == 2

        sidecar.until(lambda: f"both replicas, have {served}", look)

    def test_who_has_no_certificate_is_turned_away(self):
        self.assertIsNone(self.users.get(8080, "/users/7")[0])

    def test_the_sidecar_has_no_privilege(self):
        for pod in self.node.pods.values():
            status = sidecar.read(f"/proc/{pod.sidecars[0].process.pid}/status")
            fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
            self.assertEqual(fields["Uid"].split(), [str(UID)] * 4)
            self.assertEqual(fields["Gid"].split(), [str(UID)] * 4)
            self.assertEqual({int(fields[name], 16) for name in ("CapEff", "CapPrm", "CapBnd")}, {0})
            self.assertEqual(fields["NoNewPrivs"], "1")

    def test_metrics_are_where_the_pod_monitor_looks(self):
        status, text, _ = self.users.get(15090, "/stats/prometheus")
        self.assertEqual(status, 200)
        self.assertIn("envoy_server_live 1", text.replace("{}", ""))

    def test_probes_reach_the_app_and_nothing_else_of_it(self):
        app = self.users.containers["users"]
        for kind in ("readinessProbe", "livenessProbe"):
            self.assertEqual(app.probe(kind), 200)
        # Only the probe's own path is open to who has no certificate.
        self.assertEqual(self.users.get(15020, "/probe/8080/users/7")[0], 404)
        self.assertEqual(self.users.get(15020, "/healthz")[0], 404)

    def test_a_probe_fails_when_the_app_does(self):
        pod = self.node.pods["users-1"]
        app = pod.containers["users"]
        app.stop()
        sidecar.until("the probe fails", lambda: app.probe("readinessProbe") == 503)
        self.assertEqual(pod.sidecars[0].probe("readinessProbe"), 200)
        app.start()
        pod.wait_ready()

    def test_the_sidecar_ends_after_the_app_and_in_order(self):
        pod = Pod(self.node, "users-9", self.users.template, "10.88.0.99")
        self.addCleanup(pod.stop)
        pod.start().wait_ready()
        pod.stop()
        self.assertEqual(pod.sidecars[0].process.returncode, 0, pod.logs())

    def test_a_changed_config_map_takes_effect_without_a_restart(self):
        documents = kubernetes.load(manifest("config.yaml"))
        before = next(each for each in documents if each["metadata"]["name"] == "pillion-customer")["data"]["mesh.yaml"]
        self.wait_call("/customers/7/profile", 200)
        changed = before.replace("hosts: [ users, users.shop, users.shop.svc.cluster.local ]", "hosts: [ people ]")
        self.assertNotEqual(changed, before)
        self.node.change_config_map("pillion-customer", {"mesh.yaml": changed.encode()})
        self.wait_call("/customers/7/profile", 502)  # unknown: reject
        self.node.change_config_map("pillion-customer", {"mesh.yaml": before.encode()})
        self.wait_call("/customers/7/profile", 200)
        self.assertIsNone(self.customer.sidecars[0].process.poll())

    def test_a_bad_config_map_changes_nothing(self):
        self.wait_call("/customers/7/profile", 200)
        name, good = "pillion-customer", dict(self.node.objects["configMap", "pillion-customer"])
        self.node.change_config_map(name, {"mesh.yaml": b"inbound: { ap: 1 }\n"})
        log = self.customer.sidecars[0].log_text
        sidecar.until(lambda: "the refusal in the log:\n" + log(), lambda: "did you mean" in log())
        self.assertEqual(self.call("/customers/7/profile")[0], 200)
        self.node.change_config_map(name, good)


class Injection(unittest.TestCase):
    def test_the_manifests_with_sidecars_are_what_inject_makes(self):
        self.assertEqual(pillion("inject", "-f", os.path.join(MANIFESTS, "workloads.yaml")), manifest("injected.yaml"))

    def test_it_reads_standard_input_and_changes_nothing_the_second_time(self):
        once = pillion("inject", "-f", "-", input=manifest("workloads.yaml"))
        self.assertEqual(pillion("inject", input=once), once)

    def test_an_error_names_its_place_and_nothing_is_printed(self):
        text = "apiVersion: v1\nkind: Pod\nmetadata: { name: a }\nspec: { hostNetwork: true, containers: [ { name: a } ] }"
        result = subprocess.run([sidecar.PILLION, "inject"], input=text, capture_output=True, text=True)
        self.assertEqual((result.returncode, result.stdout), (1, ""))
        self.assertTrue(result.stderr.startswith("stdin:4:22: spec.hostNetwork: "), result.stderr)

    def test_a_file_that_is_not_there_is_an_error(self):
        result = subprocess.run([sidecar.PILLION, "inject", "-f", "missing.yaml"], capture_output=True, text=True)
        self.assertEqual(result.returncode, 1)
        self.assertIn("missing.yaml", result.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
