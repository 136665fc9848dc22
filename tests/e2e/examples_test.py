#!/usr/bin/env python3
"""What people copy is legal: the files of deploy/examples and the YAML blocks of the READMEs pass `pillion check`,
the short ones `pillion expand`, whose result passes `pillion check` too.  A block marked ```yaml is a complete
configuration; fragments are marked otherwise.  The examples that need nobody else also run."""

import glob
import os
import re
import shutil
import subprocess
import tempfile
import unittest

import sidecar

TEXTS = ["README.md", "deploy/README.md", "tests/README.md", "deploy/examples/README.md",
         "proxy/config/README.md"]


def is_short(text):
    return not re.search(r"^static_resources:", text, re.M)


def blocks(path):
    """(name, text) of each YAML block of a Markdown file."""
    with open(os.path.join(sidecar.ROOT, path), encoding="utf-8") as file:
        text = file.read()
    for match in re.finditer(r"^```yaml\n(.*?)^```$", text, re.M | re.S):
        yield f"{path}:{text.count(chr(10), 0, match.start()) + 2}", match.group(1)


def examples():
    folder = os.path.join(sidecar.ROOT, "deploy/examples")
    for path in sorted(glob.glob(folder + "/**/*.yaml", recursive=True)):
        with open(path, encoding="utf-8") as file:
            yield os.path.relpath(path, sidecar.ROOT), file.read()


class Examples(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.mkdtemp(prefix="pillion-examples-")
        cls.addClassCleanup(shutil.rmtree, cls.dir, ignore_errors=True)
        # The commands of deploy/examples/README.md.
        cls.pillion("ca", "init", "--dir", "certs", "--trust-domain", "mesh.local", check=True)
        cls.pillion("ca", "issue", "--dir", "certs", "--spiffe", "spiffe://mesh.local/ns/shop/sa/users",
                    "--dns", "shop.example", "--out-cert", "certs/workload.crt", "--out-key", "certs/workload.key",
                    check=True)

    @classmethod
    def pillion(cls, *arguments, check=False):
        return subprocess.run([sidecar.PILLION, *arguments], cwd=cls.dir, capture_output=True, text=True, timeout=60,
                              check=check)

    def check(self, name, text):
        with open(os.path.join(self.dir, "it.yaml"), "w", encoding="utf-8") as file:
            file.write(text)
        result = self.pillion("check", "it.yaml")
        self.assertEqual((result.returncode, result.stderr), (0, ""), name)

    def test_every_example_is_legal_without_a_warning(self):
        found = [name for name, _ in examples()]
        self.assertGreaterEqual(len(found), 7, found)
        for name, text in examples():
            with self.subTest(name):
                self.check(name, text)

    def test_every_yaml_block_of_the_readmes_is_a_legal_configuration(self):
        found = [block for path in TEXTS for block in blocks(path)]
        self.assertTrue(found)
        for name, text in found:
            with self.subTest(name):
                self.check(name, text)

    def test_what_a_short_example_expands_to_is_legal(self):
        texts = [*examples(), *(block for path in TEXTS for block in blocks(path))]
        for name, text in texts:
            if not is_short(text):
                continue
            with self.subTest(name):
                self.check(name, text)
                expanded = self.pillion("expand", "it.yaml")
                self.assertEqual((expanded.returncode, expanded.stderr), (0, ""))
                self.assertIn("static_resources:", expanded.stdout)
                self.check(name + ", expanded", expanded.stdout)

    def test_the_explicit_proxy_becomes_ready(self):
        text = dict(examples())["deploy/examples/explicit-proxy.yaml"]
        for port in ("15006", "15001"):
            text = text.replace(port, str(sidecar.free_port()))
        text = text.replace("15000", "ADMIN_PORT")
        sidecar.start(self, text)  # waits for /ready

    def test_links_of_the_readmes_lead_somewhere(self):
        for path in TEXTS:
            with open(os.path.join(sidecar.ROOT, path), encoding="utf-8") as file:
                text = file.read()
            for target in re.findall(r"\]\(([^)#:]+)\)", text):
                with self.subTest(f"{path}: {target}"):
                    self.assertTrue(os.path.exists(os.path.join(sidecar.ROOT, os.path.dirname(path), target)))


if __name__ == "__main__":
    unittest.main()
