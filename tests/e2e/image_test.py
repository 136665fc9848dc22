#!/usr/bin/env python3
"""The container image, assembled as the Dockerfile says but without docker: it is small and complete."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

import image
import sidecar
from authority import Authority

LIMIT = 30 * 1000 * 1000  # bytes
UID = 1337  # whom `pillion capture` leaves alone
CONTAINER = os.path.join(sidecar.ROOT, "tests", "support", "container.py")
CONFIG = """
inbound: { listen: "127.0.0.1:INBOUND_PORT", capture: off, mtls: off, app: 127.0.0.1:9 }
admin: { listen: "127.0.0.1:ADMIN_PORT" }
"""


class Assembled(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.mkdtemp(prefix="pillion-image-")
        cls.addClassCleanup(shutil.rmtree, cls.directory)
        os.chmod(cls.directory, 0o755)
        cls.image = image.build(cls.directory)


class Image(Assembled):
    def test_it_is_no_larger_than_30_megabytes(self):
        size = image.size(self.image.root)
        if sidecar.sanitized():
            self.skipTest(f"a binary with sanitizers is larger: {size} bytes")
        self.assertLessEqual(size, LIMIT)

    def test_it_holds_no_shell_and_no_file_that_its_user_could_write(self):
        for folder, _, names in os.walk(self.image.root):
            for name in names:
                path = os.path.join(folder, name)
                self.assertNotIn(name, ("sh", "bash", "dash", "busybox"))
                if not os.path.islink(path):
                    self.assertEqual(os.lstat(path).st_mode & 0o6022, 0, path)

    def test_its_user_is_the_one_that_capture_leaves_alone(self):
        self.assertEqual(self.image.user, (UID, UID))
        rules = subprocess.run([sidecar.PILLION, "capture", "print", "--tool", "nft"], capture_output=True, text=True)
        self.assertIn(str(UID), rules.stdout)
        self.assertIn(f"pillion:x:{UID}:{UID}:", sidecar.read(os.path.join(self.image.root, "etc", "passwd")))

    def test_the_build_stage_installs_from_the_one_list_of_packages(self):
        run = [json.loads(arguments) for name, arguments in image.instructions()[0] if name == "RUN"]
        self.assertTrue(any("setup_packages build" in " ".join(command) for command in run), run)
        self.assertFalse(any("apt-get" in " ".join(command) for command in run), run)


@unittest.skipUnless(os.geteuid() == 0, "chroot and mounts need root")
class ImageRuns(Assembled):
    def command(self, arguments, uid=UID, mounts=(), capabilities=()):
        spec = {"root": self.image.root, "read_only": True, "mounts": [["/dev", "/dev", False], *mounts], "uid": uid,
                "gid": uid, "capabilities": list(capabilities), "no_new_privileges": True,
                "environment": self.image.environment, "directory": "/",
                "command": self.image.entrypoint + arguments}
        path = os.path.join(self.directory, "spec.json")
        with open(path, "w") as out:
            json.dump(spec, out)
        return ["unshare", "--mount", sys.executable, CONTAINER, path]

    def run_in_it(self, arguments, **options):
        return subprocess.run(self.command(arguments, **options), capture_output=True, text=True)

    def volume(self, name, files):
        path = os.path.join(self.directory, name)
        shutil.rmtree(path, ignore_errors=True)
        os.makedirs(path)
        for file, text in files.items():
            with open(os.path.join(path, file), "w") as out:
                out.write(text)
        return path

    def test_it_says_its_version(self):
        result = self.run_in_it(["version"])
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertIn("pillion", result.stdout)

    def test_it_checks_a_configuration_with_certificates(self):
        authority = Authority(self)
        issued = authority.issue("spiffe://mesh.local/ns/shop/sa/users")
        certificates = self.volume("certs", {})
        for name, source in zip(("tls.crt", "tls.key", "ca.crt"), issued):
            shutil.copy(source, os.path.join(certificates, name))
            os.chmod(os.path.join(certificates, name), 0o444)
        config = self.volume("config", {"mesh.yaml": f"""
workload: {{ trust_domain: mesh.local, certificates: {{ files: {{ cert: /etc/pillion/certs/tls.crt,
             key: /etc/pillion/certs/tls.key, ca: /etc/pillion/certs/ca.crt }} }} }}
inbound: {{ app: 127.0.0.1:8080 }}
"""})
        result = self.run_in_it(["check", "/etc/pillion/config/mesh.yaml"], mounts=[
            [config, "/etc/pillion/config", True], [certificates, "/etc/pillion/certs", True]])
        self.assertEqual((result.returncode, result.stderr), (0, ""))

    def test_it_has_what_capture_needs(self):
        # The rules are read and refused: there is no NET_ADMIN.  Without nft or its libraries it would say so.
        result = self.run_in_it(["capture", "apply", "--tool", "nft"], uid=0)
        self.assertEqual(result.returncode, 1)
        self.assertIn("NET_ADMIN", result.stderr)

    def test_a_sidecar_runs_by_its_default_command(self):
        admin, inbound = sidecar.free_port(), sidecar.free_port()
        config = self.volume("config", {"mesh.yaml": CONFIG.replace("ADMIN_PORT", str(admin)).replace(
            "INBOUND_PORT", str(inbound))})
        command = self.command(self.image.command, mounts=[[config, "/etc/pillion/config", True]])
        with open(os.path.join(self.directory, "log"), "w") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)

        def is_ready():
            self.assertIsNone(process.poll(), sidecar.read(os.path.join(self.directory, "log")))
            return subprocess.run(["curl", "-sf", f"http://127.0.0.1:{admin}/ready"], capture_output=True).stdout

        self.assertEqual(sidecar.until("ready", is_ready).strip(), b"LIVE")


if __name__ == "__main__":
    unittest.main(verbosity=2)
