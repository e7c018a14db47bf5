"""Listening with TLS: a certificate that is given, or one made here for this machine's own names."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from typing import TYPE_CHECKING, Final, NamedTuple

from whocut.errors import BadFile, CouldNotRun, NotInstalled

if TYPE_CHECKING:
    from pathlib import Path

_NAMES: Final = "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1"
_DAYS: Final = 30


class Certificate(NamedTuple):
    """A certificate and its key, each in a PEM file; one file may hold both."""

    chain: Path
    key: Path | None = None

    def context(self) -> ssl.SSLContext:
        """How to listen with it; HTTP/1.1 is offered to those who ask for a protocol.

        Raises:
            BadFile: the files cannot be read, or do not belong together.
        """
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            context.load_cert_chain(self.chain, self.key)
        except OSError as error:
            raise BadFile(
                self.key or self.chain,
                f"no certificate with its key can be read: {error.strerror or error}. Give PEM files that "
                "belong together (--cert, --key).",
            ) from None
        context.set_alpn_protocols(["http/1.1"])
        return context


def self_made(folder: Path) -> Certificate:
    """A new certificate for `localhost` and the loopback addresses, in a folder that is the user's alone.

    Clients trust it by its file: ``SSL_CERT_FILE``, ``REQUESTS_CA_BUNDLE``, ``NODE_EXTRA_CA_CERTS``.

    Raises:
        NotInstalled: the `openssl` command is missing.
        CouldNotRun: it made no certificate.
    """
    openssl = shutil.which("openssl")
    if openssl is None:
        raise NotInstalled(
            "openssl is not installed. Install it, or give a certificate with --cert and --key."
        )
    made = Certificate(folder / "certificate.pem", folder / "key.pem")
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", str(_DAYS), "-subj", "/CN=localhost", "-addext", _NAMES]
    command += ["-keyout", str(made.key), "-out", str(made.chain)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # arguments of ours
    if done.returncode:
        raise CouldNotRun(f"openssl made no certificate: {done.stderr.strip().splitlines()[-1:]}")
    return made
