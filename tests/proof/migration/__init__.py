"""A manifest of ten routes behind ingress-nginx, what ingress2gateway makes of it, and the truth about both.

`translated.yaml` is what the source of ingress2gateway 1.1 says that `print --providers ingress-nginx` writes
with `--emitter envoy-gateway`. Ten times the longest of three limits becomes a total, and a route without a limit
gets none. A host with a certificate has redirects on port 80.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
INGRESS = HERE / "ingress.yaml"
TRANSLATED = HERE / "translated.yaml"


@dataclass(frozen=True)
class Way:
    """One route: the silence that ingress-nginx allows it, and the whole that the translation leaves it."""

    host: str
    path: str
    silence_s: float
    total_s: float

    @property
    def name(self) -> str:
        """Its host and path."""
        return f"{self.host}{self.path}"


# Worked out by hand. Where the Ingress says nothing the translation says nothing too: 15 s are Envoy's own.
WAYS = (
    Way("img.example.com", "/v1/images/generations", 60, 600),
    Way("img.example.com", "/v1/images/edits", 60, 600),
    Way("img.example.com", "/v1/images/variations", 60, 600),
    Way("img.example.com", "/v1/previews", 20, 200),
    Way("img.example.com", "/v1/batches", 3600, 36_000),
    Way("img.example.com", "/v1/files", 3600, 36_000),
    Way("studio.example.com", "/api/render", 30, 300),
    Way("studio.example.com", "/api/upscale", 30, 300),
    Way("studio.example.com", "/", 30, 300),
    Way("thumbs.example.com", "/", 60, 15),
)
