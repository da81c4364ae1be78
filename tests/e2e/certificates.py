"""Certificates that tests give to a Service, signed by nobody but themselves."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from examples.demo.kube import Namespace


def make_tls_secret(namespace: Namespace, name: str, alternatives: Sequence[str], folder: Path) -> Path:
    """Make a Secret with a certificate for names such as `DNS:iris` or `IP:127.0.0.1`; return its file."""
    certificate, key = folder / "tls.crt", folder / "tls.key"
    kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"]
    whom = ["-subj", f"/CN={name}", "-addext", f"subjectAltName={','.join(alternatives)}"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(["openssl", "req", *kind, *whom, *files], check=True, capture_output=True)
    namespace.kubectl("create", "secret", "tls", name, f"--cert={certificate}", f"--key={key}")
    return certificate
