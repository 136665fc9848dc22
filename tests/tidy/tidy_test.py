#!/usr/bin/env python3
"""Each rule of tidy fires on a bad sample, at the right line, and is silent on a good one."""

import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import rules
from source import Source
from tidy import Tidy

TODO = "TO" + "DO"  # this file is read by tidy as well

# rule, path, bad text, line of the finding, good text
SAMPLES = [
    ("include-order", "proxy/io/a.cc", '#include "proxy/base/a.h"\n#include "proxy/core/b.h"\n', 2,
     '#include "proxy/base/a.h"\n#include "proxy/stats/b.h"\n'),
    ("include-order", "proxy/core/a.cc", '#include "proxy/server.h"\n', 1, '#include "proxy/route/route.h"\n'),
    ("include-order", "proxy/worker.cc", '#include "proxy/cli/a.h"\n', 1, '#include "filters/registry.h"\n'),
    ("include-order", "filters/http/rbac.cc", '#include "proxy/core/stream.h"\n', 1,
     '#include "proxy/core/http_filter.h"\n#include "proxy/tls/signature.h"\n#include "xds/proto/rbac.pb.h"\n'),
    ("include-order", "xds/ads.cc", '#include "proxy/route/route.h"\n', 1, '#include "proxy/upstream/cluster.h"\n'),
    ("include-order", "proxy/nowhere/a.cc", '#include "proxy/base/a.h"\n', 1, ""),
    ("third-party", "proxy/io/a.h", "#pragma once\n#include <uv.h>\n", 2, "#pragma once\n#include <vector>\n"),
    ("third-party", "proxy/core/a.cc", "#include <openssl/ssl.h>\n", 1, "#include <openssl_like.h>\n"),
    ("third-party", "proxy/http/h1_parser.cc", "#include <nghttp2/nghttp2.h>\n", 1, ""),
    ("file-size", "proxy/base/a.cc", "int a;\n" * 801, 1, "int a;\n" * 800),
    ("function-length", "proxy/base/a.cc", "\nvoid f(int x) {\n" + "  g();\n" * 69 + "}\n", 2,
     "\nvoid f(int x) {\n" + "  g();\n" * 68 + "}\n"),
    ("function-length", "tests/unit/base/a_test.cc", "void f() {\n" + "  g();\n" * 80 + "}\n", 1,
     "void f() {\n" + "  {1, 2},\n" * 80 + '  {"a: "\n   "b",\n   "c"},\n' * 80 + "}\n"),
    ("function-length", "proxy/base/a.cc", "A::A()\n    : a_{1}, b_{2} {\n" + "  g();\n" * 80 + "}\n", 2,
     "namespace a {\nclass B {\n" + "  int g() { return 1; }\n" * 80 + "};\n}\n"),
    ("file-name", "proxy/base/BadName.cc", "", 1, None),
    ("pragma-once", "proxy/base/a.h", "// #pragma once\nint a;\n", 1, "#pragma once\nint a;\n"),
    ("own-header-first", "proxy/base/own.cc", '#include <vector>\n#include "proxy/base/own.h"\n', 1,
     '#include "proxy/base/own.h"\n#include <vector>\n'),
    ("data-path", "proxy/core/a.cc", "\nstd::function<void()> f;\n", 2, "// std::function is banned\n"),
    ("data-path", "proxy/http/a.cc", "void f(int a,\n       std::shared_ptr<const A> b);\n", 2,
     "void f(const std::shared_ptr<A>& b);\nstd::shared_ptr<A> c;\n"),
    ("data-path", "proxy/upstream/a.cc", "auto* s = new std::string();\n", 1, 'log("new std::string");\n'),
    ("data-path", "proxy/io/a.cc", "::usleep(3);\n", 1, "pool.sleep(3);\n"),
    ("banned", "proxy/tls/a.cc", "getaddrinfo(a, b, c, d);\n", 1, "resolver.resolve(a);\n"),
    ("banned", "proxy/admin/a.cc", "std::regex r;\n", 1, "match::Regex r;\n"),
    ("banned", "proxy/io/a.cc", "uv_tcp_init(l, t);\n", 1, "uv_poll_init(l, t);\n"),
    ("banned", "proxy/base/a.cc", "sprintf(a, b);\n", 1, "snprintf(a, 1, b);\n"),
    ("banned", "proxy/base/a.cc", "auto p = shared_from_this();\n", 1, "auto p = Ref(this);\n"),
    ("exceptions", "proxy/core/a.cc", "void f() {\n  throw 1;\n}\n", 2, 'log("throw"); // catch (x)\n'),
    ("exceptions", "proxy/route/a.cc", "try {\n} catch (...) {}\n", 1, "int entry = 1;\n"),
    ("comments", "proxy/base/a.h", "#pragma once\n" + "int a;\n" * 40, 1,
     "#pragma once\n" + "// What it is.\nint a;\nint b;\n" * 20),
    ("machine-path", "deploy/a.sh", "cd /ro" + "ot/pillion\n", 1, "cd ~/pillion\n"),
    ("registry-host", "deploy/a.md", "from https://py" + "pi.org/simple\n", 1, "from PyPI\n"),
    ("todo", "proxy/base/a.cc", f"\n// {TODO}: later\n", 2, f"// {TODO}(#12): later\n"),
    ("test-name", "tests/unit/base/a_test.cc", "TEST(Arena, Works) {\n}\n", 1, "TEST(Arena, AlignsWhatItGives) {\n}\n"),
    ("test-name", "tests/unit/base/a_test.cc", "\nTEST_F(Arena, gives_memory) {\n}\n", 2,
     "TEST_P(H1Codec, RefusesAChunkOf17Digits) {\n}\n"),
    ("skip-reason", "tests/e2e/a_test.cc", "GTEST_SKIP();\n", 1, 'GTEST_SKIP() << "no network namespaces";\n'),
    ("test-sleep", "tests/unit/io/a_test.cc", "std::this_thread::sleep_for(1ms);\n", 1, "run_until(loop, done);\n"),
]


class Samples(unittest.TestCase):
    def setUp(self):
        self.root = tempfile.TemporaryDirectory()
        self.addCleanup(self.root.cleanup)

    def findings(self, path, text):
        """(line, rule) of a tree with this file, and the header of proxy/base/own.cc beside it."""
        self.root.cleanup()
        os.makedirs(os.path.join(self.root.name, "proxy/base"))
        with open(os.path.join(self.root.name, "proxy/base/own.h"), "w", encoding="utf-8") as file:
            file.write("#pragma once\n")
        os.makedirs(os.path.join(self.root.name, os.path.dirname(path)), exist_ok=True)
        with open(os.path.join(self.root.name, path), "w", encoding="utf-8") as file:
            file.write(text)
        return [(line, rule) for found, line, rule, _ in Tidy().run(self.root.name) if found == path]

    def test_each_rule_fires_where_it_should_and_only_there(self):
        for rule, path, bad, line, good in SAMPLES:
            with self.subTest(rule=rule, path=path, bad=bad[:60]):
                self.assertIn((line, rule), self.findings(path, bad))
            if good is not None:
                with self.subTest(rule=rule, path=path, good=good[:60]):
                    self.assertNotIn(rule, [r for _, r in self.findings(path, good)])

    def test_each_rule_has_a_sample_and_a_reason(self):
        sampled = {rule for rule, *_ in SAMPLES} | {"tree-size"}
        self.assertEqual(sampled, set(rules.WHY))
        self.assertLessEqual({a[0] for a in rules.ALLOWED} | {b[0] for b in rules.BANNED}, set(rules.WHY))

    def test_the_sizes_of_the_tree_have_a_cap(self):
        def sizes_of(small, large):
            tidy = Tidy()
            tidy.sizes = {str(i): size for i, size in enumerate([small] * 85 + [large] * 15)}
            tidy.check_tree()
            return [message for _, _, _, message in tidy.findings]
        self.assertEqual(sizes_of(150, 400), [])
        self.assertEqual(len(sizes_of(151, 400)), 1)
        self.assertEqual(len(sizes_of(150, 401)), 1)

    def test_what_is_allowed_is_silent(self):
        self.assertEqual(self.findings("deploy/boringssl/Cargo.lock", "https://cra" + "tes.io\n"), [])


class Parsing(unittest.TestCase):
    def test_strings_and_comments_are_no_code(self):
        source = Source('int a = 1\'000; // std::x\nauto b = "// {" + R"(\n{ )" + \'"\'; /* {\n} */ int c;\n')
        self.assertNotIn("{", source.code)
        self.assertIn("int c;", source.code)
        self.assertEqual(source.comment_lines, [0, 2, 3])

    def test_functions_are_found_with_their_lines(self):
        text = """namespace a {
struct B {
  int one() const { return 1; }
  int table[2] = {1, 2};
};
#define BROKEN(x) if (x) {
B::B() : x_{1} {
  for (;;) {
  }
}
}
"""
        self.assertEqual(Source(text).functions(), [(3, 1, "one"), (7, 4, "B::B")])


if __name__ == "__main__":
    unittest.main()
