import subprocess
from pathlib import Path

import pytest

from tests.cluster import certs


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("certs") / "pki"
    certs.create(made, certs.requests("node-a", "10.1.2.3", "10.96.0.1"))
    return made


@pytest.mark.parametrize("request_", certs.requests("node-a", "10.1.2.3", "10.96.0.1"), ids=lambda r: r.file)
def test_a_certificate_is_signed_by_its_authority(folder: Path, request_: certs.Request) -> None:
    strictly = ["openssl", "verify", "-x509_strict", "-CAfile", f"{request_.authority}.crt", f"{request_.file}.crt"]

    done = subprocess.run(strictly, cwd=folder, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


def test_the_api_server_is_valid_for_the_addresses_it_is_reached_by(folder: Path) -> None:
    show = ["openssl", "x509", "-in", "apiserver.crt", "-noout", "-ext", "subjectAltName,basicConstraints"]

    text = subprocess.run(show, cwd=folder, capture_output=True, text=True, check=True).stdout

    for name in ("DNS:kubernetes.default.svc.cluster.local", "127.0.0.1", "10.1.2.3", "10.96.0.1", "CA:FALSE"):
        assert name in text


def test_kubelet_is_the_node_that_node_authorization_knows(folder: Path) -> None:
    show = ["openssl", "x509", "-in", "kubelet.crt", "-noout", "-subject", "-nameopt", "RFC2253"]

    text = subprocess.run(show, cwd=folder, capture_output=True, text=True, check=True).stdout

    assert text.strip() == "subject=CN=system:node:node-a,O=system:nodes"


def test_only_root_can_enter_the_folder_of_keys(folder: Path) -> None:
    assert folder.stat().st_mode & 0o777 == 0o700
