#!/usr/bin/env python3
"""Checks what no compiler does: the order of folders, sizes, names, what is banned.  The rules and
their reasons are the tables of rules.py.

    tests/tidy/tidy.py [--warnings] [ROOT]

Prints `file:line: rule: message`, then why each rule that fired is there.  Exits 1 if one did;
warnings do not count and are listed on demand.
"""

import fnmatch
import os
import re
import statistics
import sys

import rules
from source import Source

# Read as text; a file without an ending is one if it is a script (deploy/quickstart, tests/run).
TEXT = (".cc", ".h", ".inc", ".py", ".sh", ".md", ".txt", ".cmake", ".yaml", ".json", ".toml", ".lock", ".rs", ".go",
        ".js", "")
SKIP = {"build", ".git", "__pycache__", "corpus", "results", "node_modules"}


def matches(path, patterns):
    return any(fnmatch.fnmatch(path, pattern) for pattern in patterns)


def folder_of(path):
    """The folder of ORDER that a file or include belongs to, or None."""
    parts = path.split("/")
    if parts[0] in ("filters", "xds", "certs"):
        return parts[0]
    if parts[0] != "proxy":
        return None
    if len(parts) > 2:
        return parts[1]
    return "main" if parts[1] == "main.cc" else "server"


class Tidy:
    def __init__(self):
        self.findings = []  # (path, line, rule, message)
        self.sizes = {}     # of the product's sources

    def report(self, path, line, rule, message, text=""):
        for allowed, files, part, _ in rules.ALLOWED:
            if allowed == rule and fnmatch.fnmatch(path, files) and part in message + text:
                return
        self.findings.append((path, line, rule, message))

    # --- one file ---

    def check(self, path, text):
        self.check_text(path, text)
        if not path.endswith((".cc", ".h")):
            return
        source = Source(text)
        self.check_names(path, source)
        self.check_sizes(path, source)
        self.check_includes(path, source)
        self.check_banned(path, source)
        if path.startswith("tests/"):
            self.check_tests(path, source)

    def check_text(self, path, text):
        for number, line in enumerate(text.split("\n"), 1):
            found = re.search(rules.MACHINE_PATH, line)
            if found:
                self.report(path, number, "machine-path", f"{found.group(1)} is a path of one machine", line)
            found = re.search(rules.REGISTRY_HOST, line)
            if found:
                self.report(path, number, "registry-host", f"{found.group(1)} is a registry's host", line)
            if path.startswith("tests/tidy/") or not re.search(rules.TODO, line):
                continue
            if not re.search(rules.TODO_WITH_ISSUE, line):
                self.report(path, number, "todo", "write TODO(#N) with the issue's number", line)

    def check_names(self, path, source):
        name = os.path.basename(path)
        if not re.fullmatch(r"[a-z][a-z0-9_]*\.(?:cc|h)", name):
            self.report(path, 1, "file-name", f"{name} is not snake_case")
        if name.endswith(".h") and "#pragma once" not in source.code:
            self.report(path, 1, "pragma-once", "a header begins with #pragma once")

    def check_sizes(self, path, source):
        size = len(source.lines) - (source.lines[-1] == "")
        if matches(path, rules.PRODUCT):
            self.sizes[path] = size
        if size > rules.FILE_CAP:
            self.report(path, 1, "file-size", f"{size} lines, the cap is {rules.FILE_CAP}")
        for line, length, name in source.functions():
            if length > rules.FUNCTION_CAP:
                self.report(path, line, "function-length", f"{name} has {length} lines, the cap is {rules.FUNCTION_CAP}")
        code, comments = source.count_code(), len(source.comment_lines)
        low, high = rules.COMMENTS_PER_100
        if path.endswith(".h") and matches(path, rules.PRODUCT) and code >= rules.COMMENTS_FROM:
            if not low <= 100 * comments / code <= high:
                self.report(path, 1, "comments", f"{comments} comment lines on {code} of code")

    def check_includes(self, path, source):
        first = True
        for number, line in enumerate(source.lines, 1):
            found = re.match(r'\s*#\s*include\s+(?:"([^"]+)"|<([^>]+)>)', line)
            if not found:
                continue
            header = found.group(1) or found.group(2)
            own = path[:-3] + ".h"
            if first and path.endswith(".cc") and header != own and os.path.exists(os.path.join(self.root, own)):
                self.report(path, number, "own-header-first", f'the first include is "{own}"')
            first = False
            if matches(path, rules.PRODUCT):
                self.check_order(path, number, header)
                self.check_third_party(path, number, header)

    def check_order(self, path, number, header):
        here, there = folder_of(path), folder_of(header)
        if there is None or here == there:
            return
        if here not in rules.ORDER:
            self.report(path, number, "include-order", f"the folder {here} is not in ORDER of tests/tidy/rules.py")
        elif here in rules.MAY_INCLUDE:
            allowed = rules.MAY_INCLUDE[here]
            if there not in allowed and not any(header == a or header.startswith(a + "/") for a in allowed):
                self.report(path, number, "include-order", f"{here}/ may not include {header}")
        elif there not in rules.ORDER[:rules.ORDER.index(here)]:
            self.report(path, number, "include-order", f"{here}/ comes before {there}/ and may not include {header}")

    def check_third_party(self, path, number, header):
        for start, where in rules.THIRD_PARTY.items():
            if header.startswith(start) and not matches(path, where):
                allowed = ", ".join(where) or "tests and benchmarks"
                self.report(path, number, "third-party", f"<{header}> belongs to {allowed}")

    def check_banned(self, path, source):
        for rule, files, pattern, message in rules.BANNED:
            if not matches(path, files):
                continue
            # Over the whole text: a parameter may stand on a line of its own.
            for found in re.finditer(pattern, source.code, re.MULTILINE):
                start = found.start() + len(found.group(0)) - len(found.group(0).lstrip("(, \n"))
                number = source.code.count("\n", 0, start) + 1
                self.report(path, number, rule, message, source.lines[number - 1])
        if matches(path, rules.PRODUCT) and not matches(path, rules.EXCEPTIONS_ALLOWED):
            for number, line in enumerate(source.code_lines, 1):
                if re.search(r"\bthrow\b|\bcatch\s*\(|\btry\s*\{", line):
                    self.report(path, number, "exceptions", "no exceptions here: return Result", line)

    def check_tests(self, path, source):
        for found in re.finditer(r"^(?:TYPED_)?TEST(?:_[FP])?\(\s*(\w+)\s*,\s*(\w+)\s*\)", source.code, re.MULTILINE):
            name, number = found.group(2), source.code.count("\n", 0, found.start()) + 1
            words = re.findall(r"[A-Z]+(?![a-z])|[A-Z][a-z0-9]*|[0-9]+", name)
            if "_" in name or not name[0].isupper() or len(words) < 2:
                self.report(path, number, "test-name", f"{name} is no sentence in CamelCase")
        for number, line in enumerate(source.code_lines, 1):
            if re.search(r"\bGTEST_SKIP\(\)\s*;", line):
                self.report(path, number, "skip-reason", "GTEST_SKIP() << what is missing", line)
            if re.search(r"\bsleep_(?:for|until)\b|(?<![\w.>])(?:::)?(?:sleep|usleep|nanosleep)\s*\(", line):
                self.report(path, number, "test-sleep", "wait for the condition (tests/support/run_until.h)", line)

    # --- the tree ---

    def check_tree(self):
        sizes = sorted(self.sizes.values())
        if len(sizes) < 20:
            return
        median, p90 = statistics.median(sizes), sizes[len(sizes) * 9 // 10]
        if median > rules.TREE_MEDIAN:
            self.report("proxy", 1, "tree-size", f"the median file has {median:g} lines, the cap is {rules.TREE_MEDIAN}")
        if p90 > rules.TREE_P90:
            self.report("proxy", 1, "tree-size", f"one file in ten has over {p90} lines, the cap is {rules.TREE_P90}")

    def run(self, root):
        self.root = root
        for folder, folders, files in os.walk(root):
            folders[:] = sorted(set(folders) - SKIP)
            for name in sorted(files):
                full = os.path.join(folder, name)
                if name == ".git" or os.path.splitext(name)[1] not in TEXT or os.path.islink(full):
                    continue
                with open(full, encoding="utf-8", errors="replace") as file:
                    self.check(os.path.relpath(full, root), file.read())
        self.check_tree()
        return self.findings


def main(arguments):
    show_warnings = "--warnings" in arguments
    roots = [a for a in arguments if not a.startswith("--")]
    here = os.path.dirname(os.path.abspath(__file__))
    findings = Tidy().run(roots[0] if roots else os.path.join(here, "..", ".."))
    errors = [f for f in findings if f[2] not in rules.WARNINGS]
    warnings = [f for f in findings if f[2] in rules.WARNINGS]
    shown = errors + (warnings if show_warnings else [])
    for path, line, rule, message in shown:
        print(f"{path}:{line}: {rule}: {message}")
    for rule in sorted({f[2] for f in shown}):
        print(f"  {rule}: {rules.WHY[rule]}")
    print(f"{len(errors)} errors, {len(warnings)} warnings" + ("" if show_warnings else " (--warnings lists them)"))
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
