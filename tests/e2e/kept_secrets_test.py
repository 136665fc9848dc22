"""Keys and tokens stay in the process: no log, admin page, file, open descriptor, core dump or child has one.

One proxy has a certificate of each source, with traffic, a rotation and mistakes, and says all that it can (-l trace).
"""

import base64
import json
import os
import re
import subprocess
import unittest

import envoy_config as envoy
import secret_service
import sidecar
from authority import USERS, Authority
from needles import Needles
from peers import Peer, Upstream, connect, echo, get
from programs import Program, folder

TLS = envoy.TYPE + "transport_sockets.tls.v3."
NOBODY = 65534


def text_of(path):
    return {"inline_string": sidecar.read(path)}


def listener(name, port, common):
    return envoy.http(name, port, log=False, tls={"name": "tls", "typed_config": {
        "@type": TLS + "DownstreamTlsContext", "common_tls_context": common}})


class KeptSecrets(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.ca = Authority(cls)
        cls.upstream = Upstream(cls, echo)

    def setUp(self):
        self.needles = Needles()
        self.dir = folder(self)
        self.number = 0

    def issue(self):
        """(certificate, key): files of a pair whose key must not be seen."""
        self.number += 1
        certificate, key, _ = self.ca.issue(USERS + str(self.number))
        self.needles.add_key(key)
        return certificate, key

    def place(self, pair, name):
        """The same under other names, by rename."""
        out = []
        for source, kind in zip(pair, ("crt", "key")):
            out.append(os.path.join(self.dir, f"{name}.{kind}"))
            with open(out[-1] + ".new", "w") as file:
                file.write(sidecar.read(source))
            os.rename(out[-1] + ".new", out[-1])
        return out

    def csr_source(self):
        """A certificate authority that wants a token."""
        token = os.path.join(self.dir, "token")
        secret = "users-token-" + os.urandom(16).hex()
        self.needles.add_text(secret)
        tokens = os.path.join(self.dir, "tokens")
        for path, text in ((token, secret), (tokens, f"{USERS} {secret}\n")):
            with open(path, "w") as file:
                file.write(text)
        path = os.path.join(self.dir, "ca.sock")
        ca = Program(self, [sidecar.PILLION, "ca", "serve", "--dir", self.ca.dir, "--listen", "unix:" + path,
                            "--token-file", tokens])
        sidecar.until("the socket", lambda: "clear text" in sidecar.read(ca.out))
        return path, {"ca": {"name": "ca", "typed_config": {
            "@type": "type.googleapis.com/pillion.certs.v1.CertificateAuthority", "cluster": "ca",
            "authority": "localhost", "token_file": token, "ca_file": self.ca.bundle, "ttl": "6s"}}}

    def path_source(self, pair):
        """A DiscoveryResponse in a file, with the key in it."""
        path = os.path.join(self.dir, "response.yaml")
        with open(path + ".new", "w") as file:
            json.dump({"version_info": "1", "resources": [{
                "@type": "type.googleapis.com/" + TLS.partition("/")[2] + "Secret", "name": "path",
                "tls_certificate": {"certificate_chain": text_of(pair[0]), "private_key": text_of(pair[1])}}]}, file)
        os.rename(path + ".new", path)
        return {"name": "path", "sds_config": {"path_config_source": {"path": path}}}

    def configuration(self, service):
        """(bootstrap, ports): a listener for each source."""
        files, inline, fixed, by_path = self.issue(), self.issue(), self.issue(), self.issue()
        tickets = os.urandom(80)
        self.needles.add_bytes(tickets)
        ca_socket, providers = self.csr_source()
        chain, key = self.place(files, "followed")
        commons = {
            "files": {"tls_certificates": [{"certificate_chain": {"filename": chain},
                                            "private_key": {"filename": key}}]},
            "inline": {"tls_certificates": [{"certificate_chain": text_of(inline[0]),
                                             "private_key": text_of(inline[1])}]},
            "static": {"tls_certificate_sds_secret_configs": [{"name": "fixed"}]},
            "path": {"tls_certificate_sds_secret_configs": [self.path_source(by_path)]},
            "sds": {"tls_certificate_sds_secret_configs": [secret_service.by_sds("default")]},
            "csr": {"tls_certificate_provider_instance": {"instance_name": "ca"}}}
        ports = {name: sidecar.free_port() for name in commons}
        listeners = [listener(name, ports[name], common) for name, common in commons.items()]
        listeners[0]["filter_chains"][0]["transport_socket"]["typed_config"]["session_ticket_keys"] = {
            "keys": [{"inline_bytes": base64.b64encode(tickets).decode()}]}
        config = envoy.bootstrap(
            listeners, [envoy.cluster(ports=[self.upstream.port]), secret_service.cluster(service.path),
                        secret_service.cluster(ca_socket, "ca")],
            node={"id": "n", "cluster": "c"}, certificate_provider_instances=providers)
        config["static_resources"]["secrets"] = [{"name": "fixed", "tls_certificate": {
            "certificate_chain": text_of(fixed[0]), "private_key": text_of(fixed[1])}}]
        service.certificate("default", "1", *self.issue())
        return config, ports

    def call(self, port):
        context = self.ca.context()
        with context.wrap_socket(connect(self, port).socket) as secure:
            self.assertEqual(Peer(secure).exchange(get()).status, 200)

    def pages(self, proxy):
        """All that the admin listener shows, by path."""
        index = proxy.get("/help")[1]
        paths = set(re.findall(r"^\s*(/[a-z_/]*)", index, re.MULTILINE)) | {"/", "/help"}
        self.assertIn("/config_dump", paths)
        self.assertIn("/certs", paths)
        out = {}
        for path in sorted(paths) + ["/config_dump?include_eds", "/stats?format=json", "/stats?format=prometheus"]:
            status, text = proxy.get(path)
            if status == 200:
                out[path] = text
        return out

    def mistakes(self, proxy, service, config, ports):
        """Everything that is a reason to complain about a key."""
        right, other = self.issue(), self.issue()
        self.place((right[0], other[1]), "followed")
        proxy.wait_log("does not belong to the certificate")
        cut = os.path.join(self.dir, "cut.key")
        with open(cut, "w") as file:
            file.write(sidecar.read(right[1])[:150])
        self.place((right[0], cut), "followed")
        proxy.wait_log("a secret could not be had; the last good one stays", 2)
        service.certificate("default", "2", right[0], other[1])
        service.wait("nack default")
        self.needles_in_lines(service.heard("nack"))
        self.path_source((right[0], cut))
        proxy.wait_log("response.yaml", 1)
        # Keys where none belongs: as the name of a file, as bytes that are no base64, in a field that is not known.
        key = sidecar.read(other[1])
        for wrong in ({"filename": key}, {"inline_bytes": key}, {"inline_text": key}, key):
            before = proxy.stats()["server.config_reload_failure"]
            bad = json.loads(json.dumps(config))
            context = bad["static_resources"]["listeners"][1]["filter_chains"][0]["transport_socket"]["typed_config"]
            context["common_tls_context"]["tls_certificates"][0]["private_key"] = wrong
            proxy.write(bad)
            proxy.wait_stat("server.config_reload_failure", lambda n, least=before: n > least)
        proxy.write(config)
        # And what works: a rotation of each source that can.
        self.place(self.issue(), "followed")
        service.certificate("default", "3", *self.issue())
        service.wait("ack default 3")
        self.path_source(self.issue())
        for port in ports.values():
            self.call(port)

    def needles_in_lines(self, lines):
        for line in lines:
            self.assertEqual(self.needles.found_in(line), [], line)

    def test_no_key_or_token_is_shown_or_logged_whatever_goes_wrong(self):
        service = secret_service.SecretService(self)
        config, ports = self.configuration(service)
        proxy = sidecar.start(self, config, flags=("-l", "trace"))
        for port in ports.values():
            self.call(port)
        self.mistakes(proxy, service, config, ports)
        proxy.wait_log("secret taken: secret=default type=tls_certificate version=3")
        shown = self.pages(proxy) | {"the log": proxy.log_text()}
        self.assertIn("[trace]", shown["the log"])
        for where, text in shown.items():
            self.assertEqual(self.needles.found_in(text), [], where)
            self.assertNotIn("PRIVATE KEY-----", text, where)
        # What is shown of them: certificates, and that there is a key.
        self.assertIn("[redacted]", shown["/config_dump"])
        # The search finds what it looks for.
        self.assertNotEqual(self.needles.found_in(sidecar.read(os.path.join(self.dir, "followed.key"))), [])
        for name in os.listdir(proxy.dir):
            if name != os.path.basename(proxy.path):
                self.assertEqual(self.needles.found_in(sidecar.read(os.path.join(proxy.dir, name))), [], name)

    def start_as_nobody(self):
        """A proxy whose files are followed; not of root, so that the kernel's rules can be seen."""
        pair = self.place(self.issue(), "followed")
        uid, prefix = None, ()
        if os.geteuid() == 0:
            uid, prefix = NOBODY, ("setpriv", "--reuid", str(NOBODY), "--clear-groups")
            os.chmod(self.dir, 0o755)
            for path in pair:
                os.chown(path, NOBODY, -1)
        common = {"tls_certificates": [{"certificate_chain": {"filename": pair[0]},
                                        "private_key": {"filename": pair[1]}}]}
        port = sidecar.free_port()
        proxy = sidecar.start(self, envoy.bootstrap([listener("in", port, common)],
                                                    [envoy.cluster(ports=[self.upstream.port])]),
                              uid=uid, prefix=prefix)
        self.call(port)
        return proxy

    def test_the_process_leaves_no_core_hands_nothing_to_children_and_lets_nobody_look(self):
        proxy = self.start_as_nobody()
        process = f"/proc/{proxy.process.pid}"
        limits = sidecar.read(process + "/limits")
        self.assertRegex(limits, r"Max core file size +0 ")
        # PR_SET_DUMPABLE 0: no ptrace and no /proc/PID/mem for the same user; the files are root's.
        self.assertEqual(os.stat(process + "/mem").st_uid, 0)
        self.assertNotRegex(sidecar.read(process + "/status"), r"Uid:\s+0\s")
        for task in os.listdir(process + "/task"):
            self.assertEqual(sidecar.read(f"{process}/task/{task}/children").strip(), "")
        for number in os.listdir(process + "/fd"):
            try:
                flags = re.search(r"flags:\s+(\d+)", sidecar.read(f"{process}/fdinfo/{number}"))
                target = os.readlink(f"{process}/fd/{number}")
            except FileNotFoundError:  # a connection that has just ended
                continue
            self.assertFalse(target.endswith(".key"), f"{target} stays open")
            if int(number) > 2:
                self.assertTrue(int(flags.group(1), 8) & os.O_CLOEXEC, f"descriptor {number}, {target}")

    def test_the_tools_that_read_a_configuration_print_no_key(self):
        pair = self.issue()
        path = os.path.join(self.dir, "config.json")
        common = {"tls_certificates": [{"certificate_chain": text_of(pair[0]), "private_key": text_of(pair[1])}]}
        config = envoy.bootstrap([listener("in", sidecar.free_port(), common)],
                                 [envoy.cluster(ports=[self.upstream.port])])
        for key in (text_of(pair[1]), sidecar.read(pair[1]), {"filename": sidecar.read(pair[1])}):
            common["tls_certificates"][0]["private_key"] = key
            with open(path, "w") as file:
                json.dump(config, file)
            result = subprocess.run([sidecar.PILLION, "check", "-c", path], capture_output=True, text=True, timeout=30)
            self.assertEqual(self.needles.found_in(result.stdout + result.stderr), [], result.stderr)


if __name__ == "__main__":
    unittest.main()
