"""What tidy.py enforces, as tables.  A rule's sentence says why; an exception carries its reason.

Paths are relative to the root of the repository; patterns of paths are those of fnmatch, where `*`
also matches `/`.
"""

# Rule -> why.  Printed with each rule that fired.
WHY = {
    "include-order": "a folder that includes only those before it can be read, tested and replaced alone",
    "third-party": "a library is replaceable only while one folder, and no header, knows it",
    "file-size": "a file that is read in one sitting is understood; tables (*.inc) aside",
    "tree-size": "the codebases we admire have a median of 150 lines and nine files in ten under 400",
    "function-length": "a function that fits a screen is read without scrolling back",
    "file-name": "one spelling: snake_case",
    "pragma-once": "a header included twice must be harmless",
    "own-header-first": "only so does the compiler prove that the header stands alone",
    "data-path": "what allocates, locks, blocks or counts references costs every request",
    "banned": "there is one way to do this here, and this is another",
    "exceptions": "what can fail returns Result; only libraries that throw are wrapped, in few places",
    "comments": "headers state owner, lifetime and order of calls: 15 to 150 comment lines per 100 of code",
    "machine-path": "the repository must work in any folder of any machine",
    "registry-host": "clients are configured by their owner: mirrors and proxies are his choice",
    "todo": "a TODO that no issue owns is forgotten",
    "test-name": "a test's name is the sentence that it proves",
    "skip-reason": "a skipped test must say what it lacks",
    "test-sleep": "a sleep is too short on a slow machine and too long on a fast one: wait for the condition",
}

WARNINGS = {"comments"}

# --- folders ---

# In order: a folder may include itself and those before it.
ORDER = ["base", "config", "match", "stats", "io", "tls", "http", "upstream", "discovery", "route",
         "core", "telemetry", "admin", "filters", "xds", "certs", "builder", "control", "server",
         "cli", "main"]

# What differs from the order: folder -> everything that it may include (a folder, or one header).
MAY_INCLUDE = {
    "filters": ["base", "config", "match", "stats", "http", "proxy/tls/signature.h", "proxy/tls/jwk.h",
                "proxy/tls/data_source.h", "proxy/core/http_filter.h", "proxy/core/shared_document.h",
                "proxy/route/request_match.h",
                "proxy/route/header_mutation.h", "proxy/core/metadata.h", "proxy/core/metadata_matcher.h",
                "proxy/core/network_filter.h", "proxy/core/listener_filter.h", "proxy/core/side_call.h",
                "xds/proto"],
    "xds": ["base", "config", "match", "stats", "io", "tls", "http", "upstream"],
    # SDS is a discovery service: its stream, its messages and their reading are those of xDS.
    "certs": ["base", "config", "match", "stats", "io", "tls", "http", "upstream", "xds"],
}

PRODUCT = ["proxy/*", "filters/*", "xds/*", "certs/*"]

# Start of an include -> the sources that may have it.  Tests and benchmarks may include what they like.
THIRD_PARTY = {
    "uv.h": ["proxy/io/*.cc"],
    "ares.h": ["proxy/io/*.cc"],
    "ares_": ["proxy/io/*.cc"],
    "openssl/": ["proxy/tls/*.cc"],
    "nghttp2/": ["proxy/http/h2_codec*.cc"],
    "yaml-cpp/": ["proxy/config/*.cc"],
    "prometheus/": ["proxy/stats/*.cc"],
    "re2/": ["proxy/match/*.cc"],
    "nlohmann/": ["proxy/base/json*.cc"],
    "spdlog/": ["proxy/base/log*.cc"],
    "CLI/": ["proxy/cli/*.cc"],
    "google/protobuf/": ["xds/*.cc"],
    "gtest/": [],
    "gmock/": [],
    "benchmark/": [],
}

# --- sizes, in lines ---

FILE_CAP = 800
FUNCTION_CAP = 70
TREE_MEDIAN = 150
TREE_P90 = 400
COMMENTS_PER_100 = (15, 150)
COMMENTS_FROM = 20  # code lines; a smaller header's ratio means nothing

# --- names ---

# (rule, files, pattern in code without comments and strings, message)
BANNED = [
    ("data-path", ["proxy/core/*", "proxy/http/*", "proxy/io/*", "proxy/upstream/*"], r"\bstd::function\b",
     "std::function: use an interface, or a function pointer and its object"),
    ("data-path", ["proxy/core/*", "proxy/http/*", "proxy/io/*", "proxy/upstream/*"],
     r"[(,]\s*(?:const\s+)?std::shared_ptr<[^;{}()]*>\s+\w+\s*[,)=]",
     "shared_ptr parameter by value: pass a reference, or move and say so in ALLOWED"),
    ("data-path", ["proxy/core/*", "proxy/http/*", "proxy/io/*", "proxy/upstream/*"], r"\bnew\s+std::string\b",
     "new std::string: text lives in the arena"),
    ("data-path", ["proxy/core/*", "proxy/http/*", "proxy/io/*", "proxy/upstream/*"], r"(?<![\w.>])(?:::)?(?:sleep|usleep|nanosleep)\s*\(|\bsleep_(?:for|until)\b",
     "sleeping: use a timer of the loop"),
    ("banned", ["proxy/*", "filters/*", "xds/*", "certs/*"], r"\bgetaddrinfo\b",
     "getaddrinfo blocks and knows no TTL: use io::Resolver"),
    ("banned", PRODUCT, r"\bstd::w?regex\b", "std::regex recurses by input: use match::Regex (RE2)"),
    ("banned", PRODUCT, r"\buv_(?:tcp|udp|pipe|stream|read|write)_\w+|\buv_(?:tcp|stream)_t\b",
     "libuv's streams: io owns its system calls"),
    ("banned", PRODUCT, r"\b(?:sprintf|strcpy|strcat|gets)\s*\(", "writes without a bound"),
    ("banned", PRODUCT, r"\benable_shared_from_this\b|\bshared_from_this\b",
     "shared_from_this: one owner (design, section 7)"),
    ("banned", PRODUCT, r"^\s*using\s+namespace\s+std\b", "using namespace std"),
]

EXCEPTIONS_ALLOWED = ["proxy/config/*", "proxy/cli/*", "proxy/base/json*", "proxy/main.cc"]

# (rule, files, text that its message or line must contain, reason).  The reason is for the reader.
ALLOWED = [
    ("third-party", "proxy/base/version.cc", "", "asks the libraries of base for their versions"),
    ("third-party", "proxy/cli/parse.h", "<CLI/", "templates over CLI11's, for sources of cli/ only"),
    ("data-path", "proxy/core/listener.*", "std::shared_ptr<const ListenerConfig>", "moved in, once per change of it"),
    ("data-path", "proxy/upstream/*", "std::shared_ptr<const ClusterConfig>", "moved in, once per change of it"),
    ("data-path", "proxy/upstream/cluster.*", "std::shared_ptr<const HostSet>", "moved in, once per change of it"),
    ("test-sleep", "tests/unit/base/log_writer_test.cc", "", "that nothing happens can only be watched for a while"),
    ("banned", "proxy/io/*", "uv_pipe_", "a signal's or child's pipe is no connection"),
    ("machine-path", "tests/tidy/*", "", "the rule itself"),
    ("registry-host", "tests/tidy/*", "", "the rule itself"),
    ("registry-host", "*Cargo.lock", "", "cargo writes its index's name there; a mirror replaces it by configuration"),
]

MACHINE_PATH = r"(?:^|[\s\"'=(:,])(/(?:root|home|work)/\w+)"
REGISTRY_HOST = r"\b(deb\.debian\.org|snapshot\.debian\.org|(?:files\.)?pythonhosted\.org|pypi\.org|" \
                r"(?:static\.|index\.)?crates\.io|proxy\.golang\.org|registry\.npmjs\.org|repo1?\.maven\.\w+)\b"
TODO = r"\b(?:TODO|FIXME|XXX)\b"
TODO_WITH_ISSUE = r"\bTODO\s*\((?:issue\s+|#)\d+\)"
