#!/usr/bin/env python3
"""Wrong configurations through `pillion check`: every expected message, in bounded time and memory."""

import glob
import os
import shutil
import subprocess
import tempfile
import time
import unittest

import sidecar

CASES = os.path.join(sidecar.ROOT, "tests", "data", "config")
SECONDS, BYTES = 5, 500 << 20
MARKER = "# expect: "


def expected_lines(path):
    lines = []
    with open(path, "rb") as file:
        for raw in file:
            line = raw.decode("latin-1")
            if MARKER not in line:
                break
            lines.append(line.split(MARKER, 1)[1].rstrip("\r\n").encode("latin-1").decode("utf-8", "replace"))
    return lines


class ConfigErrors(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        """A working folder with the certificates that the cases name."""
        cls.dir = os.path.realpath(tempfile.mkdtemp(prefix="pillion-check-"))
        cls.addClassCleanup(shutil.rmtree, cls.dir, ignore_errors=True)
        cls.pillion("ca", "init", "--dir", "certs", "--trust-domain", "mesh.local")
        for name in ("users", "workload"):
            cls.pillion("ca", "issue", "--dir", "certs", "--spiffe", f"spiffe://mesh.local/ns/shop/sa/{name}",
                        "--out-cert", f"certs/{name}.crt", "--out-key", f"certs/{name}.key")

    @classmethod
    def pillion(cls, *arguments):
        return subprocess.run([sidecar.PILLION, *arguments], cwd=cls.dir, check=True, capture_output=True, timeout=60)

    def check(self, path, command="check", seconds=SECONDS):
        """(exit code, lines of stderr); fails beyond the bounds."""
        began = time.monotonic()
        arguments = [sidecar.PILLION, command] + (["-c", path] if command == "run" else [path])
        process = subprocess.Popen(arguments, cwd=self.dir, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   stdin=subprocess.DEVNULL)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.stdout.close)
        text = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if not sidecar.sanitized():
            self.assertLess(time.monotonic() - began, seconds)
            self.assertLess(usage.ru_maxrss * 1024, BYTES)
        return process.returncode, text.decode("utf-8", "replace").splitlines()

    def test_every_case_gives_its_messages(self):
        paths = sorted(glob.glob(os.path.join(CASES, "bad", "**", "*.*"), recursive=True))
        self.assertGreater(len(paths), 50)
        for path in paths:
            with self.subTest(os.path.relpath(path, CASES)):
                code, lines = self.check(path)
                folder = os.path.dirname(path) + "/"
                found = [line.replace(folder, "").replace(self.dir + "/", "$PWD/") for line in lines]
                if os.sep + "text" + os.sep in path:
                    # Fragments, of which the loader's messages are listed: others may have more to say.
                    found = [line for line in found if line in expected_lines(path)]
                self.assertEqual(found, expected_lines(path))
                self.assertEqual(code, 1)

    def test_good_cases_are_good(self):
        for path in sorted(glob.glob(os.path.join(CASES, "good", "**", "*.*"), recursive=True)):
            with self.subTest(os.path.relpath(path, CASES)):
                self.assertEqual(self.check(path), (0, []))

    def test_run_exits_before_it_listens(self):
        path = os.path.join(CASES, "bad", "short", "many_errors.yaml")
        code, lines = self.check(path, "run")
        self.assertEqual((code, len(lines)), (1, len(expected_lines(path))))

    # ---- too large to keep as files ----

    def generated(self, *pieces):
        path = os.path.join(self.dir, "generated.yaml")
        with open(path, "w") as out:
            for piece in pieces:
                out.write(piece)
        return path

    def assert_refused(self, path, text):
        code, lines = self.check(path)
        self.assertEqual(code, 1)
        self.assertTrue(1 <= len(lines) <= 200, len(lines))
        self.assertTrue(lines[0].startswith(path + ":"), lines[0])
        self.assertIn(text, "\n".join(lines))
        self.assertLess(max(map(len, lines)), 2000)

    def test_two_million_lines(self):
        rows = "".join(f"  key_{n}: [ 1, 2 ]\n" for n in range(1000))
        self.assert_refused(self.generated("static_resources:\n", *[rows] * 2000), "")

    def test_two_million_list_items(self):
        self.assert_refused(self.generated("static_resources:\n  listeners:\n", "  - {}\n" * 2_000_000), "")

    def test_nesting_of_200000(self):
        for opening, closing in (("[", "]"), ("{a: ", "}"), ("- ", "")):
            with self.subTest(opening):
                self.assert_refused(self.generated("admin:\n ", opening * 200_000, closing * 200_000), "deep")

    def test_billion_laughs(self):
        lines = ["a0: &a0 [ lol, lol ]\n"]
        lines += [f"a{n}: &a{n} [ " + ", ".join([f"*a{n - 1}"] * 10) + " ]\n" for n in range(1, 12)]
        self.assert_refused(self.generated(*lines), "alias")

    def test_one_endless_line(self):
        self.assert_refused(self.generated("admin: ", "a" * (64 << 20)), "")

    def test_an_endless_file(self):
        code, lines = self.check("/dev/zero")
        self.assertEqual((code, len(lines)), (1, 1))


if __name__ == "__main__":
    unittest.main()
