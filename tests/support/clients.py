"""Clients that are programs: each answers, or fails the test."""

import re
import subprocess
import tempfile

import programs

PRIOR = "--http2-prior-knowledge"  # to curl


def run(*command, data=None, seconds=60):
    done = subprocess.run(command, input=data, capture_output=True, timeout=seconds, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{command}: {done.returncode}\n{done.stderr.decode()[-2000:]}")
    return done.stdout


def curl(url, *options, data=None):
    """(HTTP version, status, head, body)"""
    with tempfile.NamedTemporaryFile() as body:
        out = run("curl", "-sS", "--noproxy", "*", "-m", "30", "-o", body.name, "-D", "-", "-w",
                  "%{http_version} %{http_code}", *options, url, data=data).decode()
        head, _, last = out.rpartition("\n")
        version, status = last.split(" ")
        return version, int(status), head, body.read()


def run_cases(cases, *command):
    """A client of tests/interop that prints a line for each of its cases."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    lines = [f"{name}: fine" for name in cases]
    if done.stdout.splitlines() != lines:
        raise AssertionError(f"{command}: not {lines}\n{done.stdout}\n{done.stderr[-2000:]}")


def nghttp(*arguments, seconds=60):
    """What it prints, without colours."""
    out = run(programs.find_debian("nghttp", "nghttp2-client"), *arguments, seconds=seconds).decode()
    return re.sub(r"\x1b\[[0-9;]*m", "", out)


def h2load(url, requests, *options):
    """Load of which every request succeeds."""
    out = run(programs.find_debian("h2load", "nghttp2-client"), "-n", str(requests), *options, url).decode()
    wanted = f" {requests} succeeded, 0 failed, 0 errored, 0 timeout\nstatus codes: {requests} 2xx,"
    if wanted not in out:
        raise AssertionError(f"h2load {options} {url}:\n{out}")
