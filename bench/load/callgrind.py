"""Reads what callgrind wrote with --dump-instr=yes: instructions, and those of them that lock a cache line."""

import re
import subprocess

COST = re.compile(r"^(0x[0-9a-f]+|[+-]\d+|\*) \S+ (\d+)$")
OBJECT = re.compile(r"^(c?)ob=\((\d+)\)(?: (.*))?$")
DISASSEMBLED = re.compile(r"^\s+([0-9a-f]+):\s+(?:lock\s|xchg\s.*\()")


def locking_addresses(binary):
    """Atomic read-modify-writes of the machine: with the prefix lock, or exchanging with memory, which implies it."""
    text = subprocess.run(["objdump", "-d", "--no-show-raw-insn", binary], capture_output=True, text=True, check=True).stdout
    found = (DISASSEMBLED.match(line) for line in text.splitlines())
    return {int(match[1], 16) for match in found if match}


def costs(path):
    """Every (object file, address, executions).  Addresses may be relative to the line before; the line after `calls=`
    is what the callee cost, which its own lines tell."""
    names, current, address, of_callee = {}, None, 0, False
    with open(path) as file:
        for line in file:
            if match := OBJECT.match(line):
                name = names.setdefault(match[2], match[3])
                current = current if match[1] else name
            elif line.startswith("calls="):
                of_callee = True
            elif match := COST.match(line):
                place = match[1]
                address = int(place, 16) if place[0] == "0" else address + (0 if place == "*" else int(place))
                if not of_callee:
                    yield current, address, int(match[2])
                of_callee = False


def count(path, binary):
    """All instructions of a run, and how often each of `binary` ran that locks a line: {address: executions}."""
    locking = locking_addresses(binary)
    every, locked = 0, {}
    for name, address, executions in costs(path):
        every += executions
        if name == binary and address in locking:
            locked[address] = locked.get(address, 0) + executions
    return every, locked
