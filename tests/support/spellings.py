"""Ways to write one request, and what lenient servers take them for.

    PATHS       targets that some server reads as /admin or something below it: bytes
    NEIGHBOURS  (target, what the app must see): near to it, and legitimate
    readings(target)  all that servers, lenient in different ways, would take a target for
"""

import itertools
import re
from urllib.parse import unquote_to_bytes

_PLAIN = """
/admin /admin/ /admin/x /admin?x /admin? /admin/?/../ /admin?a=b;c /admin//x /admin/x/y/z
/./admin /././admin /.//admin /a/../admin /a/b/../../admin /a/./../admin /../admin /../../admin /a/..//admin
/a/../../admin /x/../y/../admin /admin/. /admin/./ /admin/x/.. /admin/x/../ /admin/a/../b /./a/.././admin /admin/./x
/a/../b/./../admin /admin/../admin /admin/..//admin
/%2e/admin /%2E/admin /a/%2e%2e/admin /a/%2E%2E/admin /a/.%2e/admin /a/%2e./admin /%2e%2e/admin /a/%2e%2E/admin
/a/b/%2e%2e/.%2E/admin /%2e/%2E/admin /admin/%2e /admin/x/%2e%2e /a/%2e/%2e%2e/admin
/%61dmin /a%64min /ad%6din /ad%6Din /adm%69n /admi%6e /admi%6E /%61%64%6d%69%6e /%61%64%6D%69%6E /%61%64min/x
/a/%2e%2e/%61dmin /./%61dmin//
//admin ///admin //admin// ////admin/x //./admin /.///admin //a/..//admin //%61dmin
/%2fadmin /%2Fadmin /%2f%2fadmin /a/..%2fadmin /a/..%2Fadmin /a%2f..%2fadmin /a%2f../admin /a/%2e%2e%2fadmin
/admin%2f /admin%2Fx /.%2fadmin /a/..%2f%2fadmin /%2e%2fadmin /a%2F%2E%2E%2Fadmin /admin%2f..%2fadmin //%2fadmin
/\\admin /a\\..\\admin /a/..\\admin /.\\admin /admin\\ /admin\\x /a\\../admin /\\/admin /\\\\admin /a/%2e%2e\\admin
/%5cadmin /%5Cadmin /a%5c..%5cadmin /a/..%5cadmin /admin%5c /admin%5Cx /.%5cadmin /%5c%2fadmin /%2f%5Cadmin
/a/%2e%2e%5cadmin /\\%5cadmin
/admin; /admin;x /admin;x=1 /admin;x=1;y=2 /admin;/x /admin;x/y;z /admin;jsessionid=1?x /admin;.css /admin;x?y
/;/admin /;x/admin /;x=1//admin /;/;/admin //;x/admin /;x//admin /a;x/../admin /a;/..//admin
/a/..;/admin /a/..;x/admin /a/..;x=y;z/admin /.;/admin /.;x=1/admin /a/b/..;/..;x/admin /..;/admin
/%2e;/admin /a/%2e%2e;/admin /a/.%2e;x/admin /admin;%2e /admin;a%2fb /;%2f/admin /;x/./admin /./;x/admin
/admin%3b /admin%3Bx /admin%3bx=1 /%3b/admin /%3Bx/admin /a/..%3b/admin /a/..%3Bx/admin /a/%2e%2e%3bx/admin /%61dmin;x
/.%3b/admin /admin%3b/x /a%3bx/../admin
/admin# /admin#x /admin/#x /admin#/../x /admin?x#y /./admin#
/admin%00 /admin%00.png /admin%00/x /%00admin /adm%00in /admin/%00 /a/..%00/admin
/%c0%afadmin /%C0%AFadmin /a/..%c0%afadmin /%c0%ae/admin /a/%c0%ae%c0%ae/admin /a/%c0%ae./admin /a/.%c0%ae/admin
/%c1%a1dmin /ad%c1%adin /%e0%80%afadmin /a/%e0%80%ae%e0%80%ae/admin /%e0%81%a1dmin /%f0%80%80%afadmin /%f0%80%81%a1dmin
/a/..%c1%9cadmin /admin%c0%af /admin%c0%bbx
""".replace("\\\\", "\\").split()
_BEFORE = ("/./", "//", "/a/../", "/%2e/", "/;x/", "/a/..;/", "/%2E%2E/")
_AFTER = ("admin", "%61dmin", "adm%69n;x", "admin//", "admin/.", "%61d%6Din/x?y")

PATHS = list(dict.fromkeys(
    [text.encode() for text in [*_PLAIN, *map("".join, itertools.product(_BEFORE, _AFTER))]] + [
        b"/\xc0\xafadmin", b"/a/\xc0\xae\xc0\xae/admin", b"/\xe0\x80\xafadmin", b"/admin\xc0\xbbx"]))

# What stands for itself, and how the app must get it.
NEIGHBOURS = [
    ("/", "/"), ("/admins", "/admins"), ("/administrator/admin", "/administrator/admin"), ("/users/admin", "/users/admin"),
    ("/%61dmins", "/admins"), ("/users/%61dmin", "/users/admin"), ("/xadmin", "/xadmin"), ("/-admin", "/-admin"),
    ("/ADMIN", "/ADMIN"),  # paths are case-sensitive (RFC 3986, 6.2.2.1)
    ("/a/../users", "/users"), ("/admin/../users", "/users"), ("/admin/..", "/"), ("/admin/..;x/users", "/users"),
    ("//users", "/users"), ("/users//admin", "/users/admin"), ("/users/./7", "/users/7"), ("/users/", "/users/"),
    ("/users?path=/admin", "/users?path=/admin"), ("/users?a=%2Fadmin/../x", "/users?a=%2Fadmin/../x"),
    ("/?/admin", "/?/admin"), ("/users?x;/admin", "/users?x;/admin"), ("/users?//admin%00", "/users?//admin%00"),
    ("/users;v=1/7;x", "/users;v=1/7;x"), ("/users;/admin", "/users;/admin"), ("/users%3Bx", "/users%3Bx"),
    ("/users%3bx", "/users%3Bx"), ("/admins;x", "/admins;x"),
    ("/caf%c3%a9", "/caf%C3%A9"), ("/%e2%82%ac", "/%E2%82%AC"), ("/%f0%9f%98%80", "/%F0%9F%98%80"), ("/%ff", "/%FF"),
    ("/a%20b", "/a%20b"), ("/a+b", "/a+b"), ("/a,b", "/a,b"), ("/a:b@c", "/a:b@c"), ("/~a/_b-c.d", "/~a/_b-c.d"),
    ("/%7ea", "/~a"), ("/(a)!$&'*=", "/(a)!$&'*="), ("/a.b..c", "/a.b..c"), ("/...", "/..."), ("/.a/..b", "/.a/..b"),
    # Who unescapes once finds an escape: no second round.
    ("/%2561dmin", "/%2561dmin"), ("/a/%252e%252e/admin", "/a/%252e%252e/admin"), ("/%252fadmin", "/%252fadmin"),
    ("/a/..%255cadmin", "/a/..%255cadmin"), ("/%25%36%31dmin", "/%2561dmin"), ("/a/%%32e%%32e/admin", "/a/%252e%252e/admin"),
    ("/admin%253bx", "/admin%253bx"), ("/admin%2500", "/admin%2500"),
    # What escapes nothing, and escapes of what separates nothing in a path.
    ("/admin%", "/admin%25"), ("/admin%2", "/admin%252"), ("/admin%zz", "/admin%25zz"), ("/%u0061dmin", "/%25u0061dmin"),
    ("/admin%23", "/admin%23"), ("/admin%3F", "/admin%3F"), ("/admin%20", "/admin%20"), ("/admin%09", "/admin%09"),
    ("/%ef%bc%8fadmin", "/%EF%BC%8Fadmin"), ("/admin.", "/admin."), ("/admin,", "/admin,"),
]


def _without_parameters(path):
    return re.sub(rb";[^/]*", b"", path)


def _without_dots(path):
    out = []
    parts = path.split(b"/")[1:]
    for i, part in enumerate(parts):
        last = i == len(parts) - 1
        if part == b"..":
            del out[-1:]
        elif part != b".":
            out.append(part)
            continue
        if last:
            out.append(b"")
    return b"/" + b"/".join(out)


def _overlong(path):
    """As decoders of UTF-8 did that did not check."""
    path = re.sub(rb"\xf0\x80([\x80\x81])([\x80-\xbf])", lambda m: bytes([(m[1][0] & 1) << 6 | m[2][0] & 63]), path)
    path = re.sub(rb"\xe0([\x80\x81])([\x80-\xbf])", lambda m: bytes([(m[1][0] & 1) << 6 | m[2][0] & 63]), path)
    return re.sub(rb"([\xc0\xc1])([\x80-\xbf])", lambda m: bytes([(m[1][0] & 1) << 6 | m[2][0] & 63]), path)


def _merged(path):
    return re.sub(rb"/+", b"/", path)


def _same(path):
    return path


def _at_nul(path):
    return path.split(b"\0")[0]


def _without_nul(path):
    return path.replace(b"\0", b"")


_STEPS = (
    (_same, _without_parameters),
    (unquote_to_bytes,),
    (_same, _overlong),
    (lambda path: path.replace(b"\\", b"/"),),
    (_at_nul, _without_nul),
    (_same, _without_parameters),
    (_same, _merged),
    (_without_dots,),
    (_merged,),
)
_CHAINS = list(itertools.product(*_STEPS))


def readings(target):
    path = re.sub(rb"^[A-Za-z]+://[^/?#]*", b"", target).split(b"?")[0].split(b"#")[0]
    found = set()
    for chain in _CHAINS:
        read = path
        for step in chain:
            read = step(read)
        found.add(read)
    return found


def is_admin(target):
    return any(path == b"/admin" or path.startswith(b"/admin/") for path in readings(target))
