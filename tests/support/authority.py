"""Identities of a mesh, by `pillion ca`."""

import os
import shutil
import ssl
import subprocess
import tempfile

import sidecar

USERS, CUSTOMER = "spiffe://mesh.local/ns/shop/sa/users", "spiffe://mesh.local/ns/shop/sa/customer"


class Authority:
    """A certificate authority in a folder of its own."""

    def __init__(self, test, trust_domain="mesh.local"):
        self.dir = tempfile.mkdtemp(prefix="pillion-ca-")
        test.addClassCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.run("init", "--trust-domain", trust_domain)

    def run(self, command, *arguments):
        subprocess.run([sidecar.PILLION, "ca", command, "--dir", self.dir, *arguments], check=True,
                       capture_output=True, timeout=30)

    @property
    def bundle(self):
        return os.path.join(self.dir, "ca.crt")

    def issue(self, identity, *more):
        """(certificate, key, bundle): file names."""
        name = os.path.join(self.dir, identity.replace("/", "_").replace(":", "_"))
        self.run("issue", "--spiffe", identity, "--out-cert", name + ".crt", "--out-key", name + ".key", *more)
        return name + ".crt", name + ".key", self.bundle

    def context(self, certificates=None, bundle=None):
        """An ssl.SSLContext of a client: what it shows, as issue() gives it, and whom it trusts.  Names are SPIFFE
        ids, which Python does not compare."""
        context = ssl.create_default_context(cafile=bundle or self.bundle)
        context.check_hostname = False
        if certificates:
            context.load_cert_chain(*certificates[:2])
        return context
