"""Certificates of a local cluster, made with the openssl command.

``requests`` is a table of who needs one; ``create`` runs openssl on it. Keys are P-256: a whole cluster's worth
takes a fraction of a second.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

DAYS = "365"
# Without this file openssl reads the distribution's, which marks every certificate as an authority.
CONFIG = "[req]\ndistinguished_name = none\n[none]\n"
AUTHORITIES = ("ca", "front-proxy-ca")


@dataclass(frozen=True)
class Request:
    """One certificate: its file name, whom it names, and the names and addresses it is valid for."""

    file: str
    common_name: str
    organization: str = ""
    alternative_names: tuple[str, ...] = ()
    authority: str = "ca"


def requests(node: str, node_ip: str, service_ip: str) -> tuple[Request, ...]:
    """List every certificate of a one-node cluster."""
    api_names = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")
    return (
        Request(
            "apiserver",
            "kube-apiserver",
            alternative_names=(
                *(f"DNS:{name}" for name in (*api_names, "kubernetes.default.svc.cluster.local")),
                *(f"IP:{address}" for address in ("127.0.0.1", node_ip, service_ip)),
            ),
        ),
        Request("apiserver-kubelet-client", "kube-apiserver-kubelet-client", "system:masters"),
        Request("admin", "modelvane-admin", "system:masters"),
        Request("controller-manager", "system:kube-controller-manager"),
        Request("scheduler", "system:kube-scheduler"),
        Request("kube-proxy", "system:kube-proxy"),
        Request("kubelet", f"system:node:{node}", "system:nodes", (f"DNS:{node}", f"IP:{node_ip}")),
        Request("front-proxy-client", "front-proxy-client", authority="front-proxy-ca"),
    )


def authority_command(name: str) -> list[str]:
    """Return the openssl command that makes a self-signed authority."""
    extensions = ("basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign")
    return [*_base(name, f"/CN=modelvane-{name}"), *_extensions(extensions)]


def certificate_command(request: Request) -> list[str]:
    """Return the openssl command that makes a key and a certificate signed by its authority."""
    subject = (f"/O={request.organization}" if request.organization else "") + f"/CN={request.common_name}"
    extensions = [
        "basicConstraints=critical,CA:FALSE",
        "keyUsage=critical,digitalSignature",
        "extendedKeyUsage=serverAuth,clientAuth",
        "authorityKeyIdentifier=keyid",
    ]
    if request.alternative_names:
        extensions.append(f"subjectAltName={','.join(request.alternative_names)}")
    signer = ["-CA", f"{request.authority}.crt", "-CAkey", f"{request.authority}.key"]
    return [*_base(request.file, subject), *signer, *_extensions(extensions)]


def create(folder: Path, wanted: Iterable[Request]) -> None:
    """Write every authority, key and certificate into a folder that only root can enter."""
    folder.mkdir(mode=0o700)
    (folder / "openssl.cnf").write_text(CONFIG)

    def run(command: list[str]) -> None:
        subprocess.run(command, cwd=folder, check=True, capture_output=True)

    with ThreadPoolExecutor() as pool:
        list(pool.map(run, map(authority_command, AUTHORITIES)))
        list(pool.map(run, map(certificate_command, wanted)))
    run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "accounts.key"])
    run(["openssl", "pkey", "-in", "accounts.key", "-pubout", "-out", "accounts.pub"])


def _base(file: str, subject: str) -> list[str]:
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{file}.key"]
    head = ["openssl", "req", "-x509", "-config", "openssl.cnf", "-days", DAYS]
    return [*head, "-subj", subject, *key, "-out", f"{file}.crt"]


def _extensions(extensions: Iterable[str]) -> list[str]:
    return [word for one in (*extensions, "subjectKeyIdentifier=hash") for word in ("-addext", one)]
