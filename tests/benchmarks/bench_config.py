"""How long a large file takes to read: ten megabytes of each format, as users shape them, and a request to find.

Run it alone: ``python -m tests.benchmarks.bench_config [nginx] [haproxy] …``. Every case is a file of the tests,
repeated with a padding comment or key until it is large enough; formats of one document say that it is too large.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.config.cases import cases
from whocut.clock.clock import wall_s
from whocut.config.formats import formats
from whocut.config.reading import Asked
from whocut.config.sources import read_files
from whocut.errors import BadInput

_BYTES = 10_000_000
_HOST = "h29999.example.com"
_NGINX = "server {{ server_name h{n}.example.com; location / {{ proxy_pass http://u{n}; }} }}\n"
_HAPROXY = "backend b{n}\n    timeout server {n}s\n    server s 10.0.0.1:80\n"
_CADDY = "h{n}.example.com {{\n    reverse_proxy 10.0.0.1:80\n}}\n"
_APACHE = (
    '<VirtualHost *:80>\nServerName h{n}.example.com\nProxyPass "/" "http://10.0.0.1/"\n</VirtualHost>\n'
)
_VARNISH = 'backend b{n} {{ .host = "10.0.0.1"; .first_byte_timeout = 90s; }}\n'
# Files of many entries: what is before them, one of them, what is behind.
_MADE = {
    "nginx": ("http {\n", _NGINX, "}\n"),
    "haproxy": ("frontend f\n    bind :80\n    default_backend b9\n", _HAPROXY, ""),
    "caddy": ("", _CADDY, ""),
    "apache": ("", _APACHE, ""),
    "varnish": ("vcl 4.1;\n", _VARNISH, "sub vcl_recv { set req.backend_hint = b9; }\n"),
}


def large(name: str) -> str:
    """Ten megabytes in this format."""
    if name in _MADE:
        before, entry, after = _MADE[name]
        count = _BYTES // len(entry.format(n=10_000)) + 1
        return before + "".join(entry.format(n=n) for n in range(count)) + after
    first = next(
        text for case in cases() if case.kind.partition("-")[0] == name for text in case.files.values()
    )
    return first * (_BYTES // len(first) + 1)


def main() -> None:
    """One line a format: seconds, and the answer or the sentence."""
    wanted = sys.argv[1:] or list(formats())
    with tempfile.TemporaryDirectory() as folder:
        for name in wanted:
            path = Path(folder) / f"large.{name}"
            path.write_text(large(name), encoding="utf-8")
            began = wall_s()
            try:
                read = read_files([f"{name}={path}"], Asked(host=_HOST, path="/"))
                said = (
                    f"{len(read.routes)} routes" if not read.undecided else "the routes differ, and are named"
                )
            except BadInput as error:
                said = str(error).partition(": ")[2][:90]
            sys.stdout.write(
                f"{name:<16}{path.stat().st_size / 1e6:>6.1f} MB{wall_s() - began:>8.2f} s   {said}\n"
            )
            sys.stdout.flush()
            path.unlink()


if __name__ == "__main__":
    main()
