"""Writes OCI archives of images that hold one static binary and nothing else.

Such an image is a tar of a tar and two JSON documents; writing it here takes a second and needs no image builder.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class ScratchImage:
    """An image reference and the binary that is its entrypoint."""

    ref: str
    binary: Path


def write_archive(archive: Path, images: list[ScratchImage], architecture: str) -> None:
    """Write the images into one OCI archive; the same input gives the same bytes."""
    with tarfile.open(archive, "w") as tar:
        manifests = [_add_image(tar, image, architecture) for image in images]
        _add(tar, "oci-layout", json.dumps({"imageLayoutVersion": "1.0.0"}).encode())
        index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": manifests}
        _add(tar, "index.json", json.dumps(index).encode())


def _add_image(tar: tarfile.TarFile, image: ScratchImage, architecture: str) -> dict[str, Any]:
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as files:
        _add(files, image.binary.name, image.binary.read_bytes(), mode=0o755)
    blob = layer.getvalue()
    config = {
        "architecture": architecture,
        "os": "linux",
        # PATH: what starts a pod may name the command without its folder, as Envoy Gateway does for its proxies.
        "config": {"Entrypoint": [f"/{image.binary.name}"], "Env": ["PATH=/"], "User": "65532:65532"},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(blob).hexdigest()}"]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": _add_blob(tar, json.dumps(config).encode(), "application/vnd.oci.image.config.v1+json"),
        "layers": [_add_blob(tar, blob, "application/vnd.oci.image.layer.v1.tar")],
    }
    descriptor = _add_blob(tar, json.dumps(manifest).encode(), "application/vnd.oci.image.manifest.v1+json")
    return {
        **descriptor,
        "platform": {"os": "linux", "architecture": architecture},
        "annotations": {"io.containerd.image.name": image.ref, "org.opencontainers.image.ref.name": image.ref},
    }


def _add_blob(tar: tarfile.TarFile, content: bytes, media_type: str) -> dict[str, Any]:
    digest = hashlib.sha256(content).hexdigest()
    _add(tar, f"blobs/sha256/{digest}", content)
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}


def _add(tar: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))
