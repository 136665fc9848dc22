"""A C++ file as tidy sees it: its code without comments and the insides of strings, its comments, its
functions.  A heuristic, not a compiler: it reads what clang-format would have written."""

import re

TOKEN = re.compile(
    r'//[^\n]*'
    r'|/\*.*?\*/'
    r'|R"(?P<mark>[^()\\\s]{0,16})\(.*?\)(?P=mark)"'
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|(?<![0-9A-Fa-f])'(?:[^'\\\n]|\\.)+'",
    re.DOTALL)


def blank(text):
    return re.sub(r"[^\n]", " ", text)


class Source:
    def __init__(self, text):
        self.lines = text.split("\n")
        self.raw_lines = set()  # insides of raw strings: expected texts, not code
        comments = []

        def replace(match):
            token = match.group(0)
            if token.startswith(("//", "/*")):
                first = text.count("\n", 0, match.start())
                comments.extend(range(first, first + token.count("\n") + 1))
                return blank(token)
            if token[0] == "R":
                first = text.count("\n", 0, match.start())
                self.raw_lines.update(range(first + 1, first + token.count("\n") + 1))
            return token[0] + blank(token[1:-1]) + token[-1]

        self.code = TOKEN.sub(replace, text)
        self.code_lines = self.code.split("\n")
        self.comment_lines = sorted(set(comments))

    def count_code(self):
        return sum(1 for line in self.code_lines if line.strip())

    def functions(self):
        """(line of the opening brace, number of lines, name) of each function body, line counted from 1."""
        code = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", lambda m: blank(m.group(0)), self.code, flags=re.MULTILINE)
        found, stack, start, line = [], [], 0, 1
        for match in re.finditer(r"[{};\n]", code):
            character = match.group(0)
            if character == "\n":
                line += 1
                continue
            if character == "{":
                before = code[start:match.start()]
                stack.append((kind_of(before, stack), line, name_of(before), start))
            elif character == "}" and stack:
                kind, opened, name, began = stack.pop()
                if code[match.end():].lstrip()[:1] in (",", "{", ")"):
                    # An initializer, as of a member before the body: the statement goes on.
                    start = began
                    continue
                if kind == "function":
                    found.append((opened, self.size_of(opened, line), name))
            start = match.end()
        return found

    def size_of(self, first, last):
        """Lines of a body.  Rows of tables and raw strings are data that happens to stand in a function:
        tables are the way to write tests here."""
        row = re.compile(r'\s*\{.*\},?\s*|(?=.*")[\s{},"]*')  # a whole row, or one of its lines of text alone
        rows = sum(1 for i in range(first, last - 1) if i in self.raw_lines or row.fullmatch(self.code_lines[i]))
        return last - first + 1 - rows


def kind_of(before, stack):
    """What a brace opens, from the text between the last one (or semicolon) and it."""
    if stack and stack[-1][0] in ("function", "inside"):
        return "inside"
    if re.search(r"\bnamespace\b|\bextern\s*\"", before):
        return "scope"
    if re.search(r"\b(?:class|struct|union|enum)\b[^()]*$", before) and "=" not in before:
        return "scope"
    return "function" if ")" in before else "inside"


def name_of(before):
    names = re.findall(r"([\w:~]+)\s*\(", before)
    return names[0] if names else "?"
