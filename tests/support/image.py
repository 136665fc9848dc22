"""The container image without docker: the root file system that deploy/image/Dockerfile describes.

    image = image.build(directory)        # what the last stage's instructions say
    image.root, image.entrypoint, image.environment, image.user
"""

import json
import os
import re
import subprocess
import types

from sidecar import PILLION, ROOT

DOCKERFILE = os.path.join(ROOT, "deploy", "image", "Dockerfile")


def instructions():
    """[(name, arguments)] of each stage."""
    stages = []
    with open(DOCKERFILE) as file:
        for line in re.sub(r"\\\n", " ", file.read()).splitlines():
            if not line.strip() or line.startswith("#"):
                continue
            name, _, arguments = line.partition(" ")
            if name == "FROM":
                stages.append([])
            stages[-1].append((name, arguments.strip()))
    return stages


def build(directory):
    """Runs the script that fills what the last stage copies, with the binary under test."""
    build_stage, last = instructions()
    script, made = None, None
    for name, arguments in build_stage:
        if name == "RUN" and json.loads(arguments)[0] == "deploy/image/rootfs":
            script, _, made = json.loads(arguments)
    assert ("COPY", f"--from=build {made}/ /") in last, f"the last stage does not copy {made}: {last}"
    root = os.path.join(directory, "rootfs")
    subprocess.run([os.path.join(ROOT, script), PILLION, root], check=True)
    image = types.SimpleNamespace(root=root, environment={}, entrypoint=[], command=[], user=(0, 0))
    for name, arguments in last:
        if name == "ENV":
            key, _, value = arguments.partition("=")
            image.environment[key] = value
        elif name == "USER":
            image.user = tuple(int(part) for part in arguments.split(":"))
        elif name == "ENTRYPOINT":
            image.entrypoint = json.loads(arguments)
        elif name == "CMD":
            image.command = json.loads(arguments)
        elif name not in ("FROM", "COPY"):
            raise AssertionError(f"an instruction that this test cannot follow: {name}")
    assert last[0] == ("FROM", "scratch") and [name for name, _ in last].count("COPY") == 1, last
    return image


def size(root):
    """Bytes of the regular files."""
    return sum(os.lstat(os.path.join(folder, name)).st_size
               for folder, _, names in os.walk(root) for name in names)
