#!/usr/bin/env python3
"""What `pillion inject` writes and what deploy/kubernetes holds, against the Kubernetes API's own JSON schemas.

Strict: a field that the API does not know is an error.  1.29 is the oldest release where native sidecars are
on by default; the newest is the last that kubernetes-validate knows.
"""

import glob
import os
import subprocess
import tempfile
import unittest

import kubernetes
import sidecar

MANIFESTS = os.path.join(sidecar.ROOT, "deploy", "kubernetes")
CASES = os.path.join(sidecar.ROOT, "tests", "data", "inject", "good")
VERSIONS = ("1.29", "1.37")


def inject(text, *flags):
    return subprocess.run([sidecar.PILLION, "inject", *flags], input=text, capture_output=True, text=True,
                          check=True).stdout


def added_by(before, after):
    """The pod specs of workloads, before and after."""
    def specs(value):
        if isinstance(value, dict):
            if isinstance(value.get("containers"), list):
                yield value
            for each in value.values():
                yield from specs(each)
        elif isinstance(value, list):
            for each in value:
                yield from specs(each)
    return zip(specs(before), specs(after))


class Schemas(unittest.TestCase):
    def assert_valid(self, text):
        for version in VERSIONS:
            self.assertEqual(kubernetes.problems(text, version), [], version)

    def test_the_schemas_find_what_is_wrong(self):
        pod = "apiVersion: v1\nkind: Pod\nmetadata: { name: a }\nspec: { containers: [ { name: a, %s } ] }\n"
        for wrong, expected in (("imag: b", "imag"), ("ports: [ { } ]", "containerPort"), ("args: [ 1 ]", "1 is not")):
            self.assertIn(expected, " ".join(kubernetes.problems(pod % wrong, VERSIONS[0])))

    def test_the_manifests_of_the_retail_example_are_valid(self):
        for name in ("namespace.yaml", "config.yaml", "workloads.yaml", "injected.yaml"):
            with self.subTest(name):
                self.assert_valid(sidecar.read(os.path.join(MANIFESTS, name)))

    def test_generated_secrets_and_code_are_valid(self):
        with tempfile.TemporaryDirectory() as folder:
            text = subprocess.run([os.path.join(MANIFESTS, "generate"), os.path.join(folder, "ca")], check=True,
                                  capture_output=True, text=True, env=os.environ | {"PILLION": sidecar.PILLION}).stdout
        self.assert_valid(text)
        retail = os.path.join(sidecar.ROOT, "deploy", "examples", "retail")
        code = kubernetes.load(text)[-1]["data"]
        self.assertEqual(code, {name: sidecar.read(os.path.join(retail, name)) for name in code})

    def test_injected_workloads_of_every_kind_are_valid(self):
        for flags in ((), ("--cpu-limit", "500m", "--uid", "2000")):
            text = inject(sidecar.read(os.path.join(CASES, "kinds.yaml")), *flags)
            documents = [each for each in text.split("\n---") if "example.com/v1" not in each]
            self.assert_valid("\n---".join(documents))

    def test_a_sidecar_for_old_clusters_is_valid(self):
        text = inject(sidecar.read(os.path.join(MANIFESTS, "workloads.yaml")), "--native-sidecar=false")
        self.assertEqual(kubernetes.problems(text, VERSIONS[0]), [])

    def test_other_readers_find_the_values_that_were_there(self):
        # PyYAML knows YAML 1.1, where 012, 1_0, on and dates are no strings.
        for path in sorted(glob.glob(os.path.join(CASES, "*.yaml"))):
            text = sidecar.read(path)
            before, after = kubernetes.load(text), kubernetes.load(inject(text))
            for old, new in added_by(before, after):
                for key in ("initContainers", "volumes"):
                    new[key] = [each for each in new.get(key) or [] if not each["name"].startswith("pillion")]
                    old[key] = old.get(key) or []
                for containers in (old["containers"], old["initContainers"], new["containers"], new["initContainers"]):
                    for container in containers:
                        for name in ("startupProbe", "livenessProbe", "readinessProbe", "lifecycle"):
                            container.pop(name, None)
            self.assertEqual(without_label(after), without_label(before), path)


def without_label(value):
    """Without what is added beside the containers: the label, and the metadata made for it."""
    if isinstance(value, dict):
        out = {key: without_label(each) for key, each in value.items() if key != "pillion.io/sidecar"}
        return {key: each for key, each in out.items() if not (key in ("labels", "metadata") and not each)}
    return [without_label(each) for each in value] if isinstance(value, list) else value


class PodMonitor(unittest.TestCase):
    """A custom resource of the Prometheus operator, of which there is no schema here: what it must agree with."""

    def test_it_selects_what_inject_labels_and_names(self):
        monitor = kubernetes.load(sidecar.read(os.path.join(MANIFESTS, "podmonitor.yaml")))[0]
        self.assertEqual((monitor["apiVersion"], monitor["kind"]), ("monitoring.coreos.com/v1", "PodMonitor"))
        self.assertEqual(set(monitor["spec"]), {"selector", "podMetricsEndpoints"})
        injected = kubernetes.load(sidecar.read(os.path.join(MANIFESTS, "injected.yaml")))
        templates = [each["spec"]["template"] for each in injected if each["kind"] == "Deployment"]
        self.assertEqual(len(templates), 2)
        for template in templates:
            self.assertLessEqual(monitor["spec"]["selector"]["matchLabels"].items(),
                                 template["metadata"]["labels"].items())
            ports = {port["name"]: port["containerPort"] for container in template["spec"]["initContainers"]
                     for port in container.get("ports", [])}
            self.assertEqual([ports[endpoint["port"]] for endpoint in monitor["spec"]["podMetricsEndpoints"]], [15090])


if __name__ == "__main__":
    unittest.main(verbosity=2)
