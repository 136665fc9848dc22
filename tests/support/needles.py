"""Secrets that must not be found in anything that a proxy prints.

    needles = Needles()
    needles.add_key("users.key")
    test.assertEqual(needles.found_in(proxy.log_text()), [])
"""

import base64

WINDOW = 16  # characters of a key that would be too much


def windows(text):
    return {text[at:at + WINDOW] for at in range(len(text) - WINDOW + 1)}


class Needles:
    """What must not be found: parts of secrets, in whatever form they might be printed."""

    def __init__(self):
        self.parts = set()

    def add_bytes(self, secret):
        digits = secret.hex()
        self.parts |= windows(digits) | windows(digits.upper())
        for start in range(3):  # wherever it stands in a base64 text
            whole = secret[start:start + (len(secret) - start) // 3 * 3]
            self.parts |= windows(base64.b64encode(whole).decode())

    def add_text(self, secret):
        self.parts |= windows(secret)

    def add_key(self, path):
        """The private part of a P-256 key, PKCS#8."""
        with open(path) as file:
            der = base64.b64decode("".join(file.read().splitlines()[1:-1]))
        at = der.index(b"\x02\x01\x01\x04\x20") + 5
        self.add_bytes(der[at:at + 32])

    def found_in(self, text):
        return sorted(part for part in self.parts if part in text)
