"""Becomes a container's process, as a container runtime would: a root of its own with mounts, a user,
the capabilities that were asked for and no others.  Wants to be root in a mount namespace of its own
(`ip netns exec` makes one).

    ip netns exec POD python3 container.py SPEC.json

SPEC: {"root": DIR, "read_only": bool, "mounts": [[SOURCE, TARGET, read only?] ...], "uid": N, "gid": N,
       "capabilities": [NAME ...], "no_new_privileges": bool, "environment": {}, "directory": DIR,
       "command": [...]}
"""

import ctypes
import json
import os
import sys

MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 24, 38
CAPABILITIES = {"NET_BIND_SERVICE": 10, "NET_ADMIN": 12, "NET_RAW": 13}
LIBC = ctypes.CDLL(None, use_errno=True)


def check(result, what):
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), what)


def mount(source, target, flags, kind=None):
    check(LIBC.mount(source.encode(), target.encode(), kind and kind.encode(), flags, None), f"mount {target}")


def make_place(source, target):
    """What a mount covers must be there."""
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        open(target, "a").close()


def bind(source, target, read_only):
    make_place(source, target)
    mount(source, target, MS_BIND | MS_REC)
    if read_only:
        mount("none", target, MS_BIND | MS_REMOUNT | MS_RDONLY)


def enter(spec):
    root = spec["root"]
    mount("none", "/", MS_REC | MS_PRIVATE)
    mount(root, root, MS_BIND)
    for source, target, read_only in spec["mounts"]:
        bind(source, root + target, read_only)
    os.makedirs(root + "/proc", exist_ok=True)
    mount("proc", root + "/proc", 0, "proc")
    if spec["read_only"]:
        mount("none", root, MS_BIND | MS_REMOUNT | MS_RDONLY)
    os.chroot(root)
    os.chdir(spec["directory"])


def drop(spec):
    last = int(open("/proc/sys/kernel/cap_last_cap").read())
    kept = {CAPABILITIES[name] for name in spec["capabilities"]}
    for capability in range(last + 1):
        if capability not in kept:
            check(LIBC.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0), f"drop capability {capability}")
    os.setgroups([])
    os.setresgid(spec["gid"], spec["gid"], spec["gid"])
    os.setresuid(spec["uid"], spec["uid"], spec["uid"])
    if spec["no_new_privileges"]:
        check(LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no new privileges")


if __name__ == "__main__":
    with open(sys.argv[1]) as file:
        wanted = json.load(file)
    enter(wanted)
    drop(wanted)
    command, environment = wanted["command"], wanted["environment"]
    os.execvpe(command[0], command, environment)
