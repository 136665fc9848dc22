#!/usr/bin/env python3
"""xds/proto has the names and numbers of the public API, by the descriptors of go-control-plane and of xds-protos."""

import os
import re
import subprocess
import unittest

import programs
import sidecar


DESCRIPTORS = os.path.join(os.path.dirname(sidecar.PILLION), "descriptor_set.bin")


def lines_of(command):
    return subprocess.run([*command, DESCRIPTORS], check=True, capture_output=True, text=True).stdout.splitlines()


class Schema(unittest.TestCase):
    def test_every_message_is_as_the_public_api_has_it(self):
        lines = lines_of([programs.built_go_module("go-schema")])
        looked_at = re.fullmatch(r"looked at (\d+) messages (\d+) fields", lines.pop())
        self.assertGreater(int(looked_at[1]), 400)
        self.assertGreater(int(looked_at[2]), 1600)
        self.assertEqual(lines, [])

    def test_it_agrees_with_the_package_of_the_grpc_project(self):
        lines = lines_of([programs.find_xds_python(), os.path.join(programs.INTEROP, "xds_schema_protos.py")])
        looked_at = re.fullmatch(r"looked at (\d+) messages (\d+) fields (\d+) values", lines.pop())
        self.assertGreater(int(looked_at[1]), 400)
        self.assertGreater(int(looked_at[2]), 1600)
        self.assertGreater(int(looked_at[3]), 250)
        newer = [line for line in lines if line.startswith("newer:")]
        self.assertEqual([line for line in lines if line not in newer], [])
        self.assertLess(len(newer), 150, "the other test holds them against an API that has them")


if __name__ == "__main__":
    unittest.main()
