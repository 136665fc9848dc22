#!/usr/bin/env python3
"""xds/proto has the names and numbers of the public API, by go-control-plane's descriptors."""

import os
import re
import subprocess
import unittest

import programs
import sidecar


class Schema(unittest.TestCase):
    def test_every_message_is_as_the_public_api_has_it(self):
        descriptors = os.path.join(os.path.dirname(sidecar.PILLION), "descriptor_set.bin")
        lines = subprocess.run([programs.built_go_module("go-schema"), descriptors], check=True, capture_output=True,
                               text=True).stdout.splitlines()
        looked_at = re.fullmatch(r"looked at (\d+) messages (\d+) fields", lines.pop())
        self.assertGreater(int(looked_at[1]), 400)
        self.assertGreater(int(looked_at[2]), 1600)
        self.assertEqual(lines, [])


if __name__ == "__main__":
    unittest.main()
