import hashlib
import io
import json
import tarfile
from pathlib import Path

from tests.cluster.scratch_image import ScratchImage, write_archive


def test_every_digest_in_the_archive_is_that_of_a_blob_in_it(tmp_path: Path) -> None:
    archive = written(tmp_path)

    with tarfile.open(archive) as tar:
        blobs = {f"sha256:{Path(n).name}": content(tar, n) for n in tar.getnames() if n.startswith("blobs/")}
        index = json.loads(content(tar, "index.json"))
    for digest, blob in blobs.items():
        assert digest == f"sha256:{hashlib.sha256(blob).hexdigest()}"
    manifest = json.loads(blobs[index["manifests"][0]["digest"]])
    config = json.loads(blobs[manifest["config"]["digest"]])
    layer = blobs[manifest["layers"][0]["digest"]]
    assert config["rootfs"]["diff_ids"] == [manifest["layers"][0]["digest"]]
    assert config["config"]["Entrypoint"] == ["/program"]
    with tarfile.open(fileobj=io.BytesIO(layer)) as files:
        assert content(files, "program") == b"\x7fELF"
        assert files.getmember("program").mode == 0o755


def test_the_image_carries_the_name_that_containerd_will_give_it(tmp_path: Path) -> None:
    with tarfile.open(written(tmp_path)) as tar:
        index = json.loads(content(tar, "index.json"))

    assert index["manifests"][0]["annotations"]["io.containerd.image.name"] == "modelvane.local/program:v1"


def test_the_same_binary_gives_the_same_bytes(tmp_path: Path) -> None:
    assert written(tmp_path).read_bytes() == written(tmp_path, "again.tar").read_bytes()


def written(folder: Path, name: str = "images.tar") -> Path:
    binary = folder / "program"
    binary.write_bytes(b"\x7fELF")
    write_archive(folder / name, [ScratchImage("modelvane.local/program:v1", binary)], "amd64")
    return folder / name


def content(tar: tarfile.TarFile, name: str) -> bytes:
    file = tar.extractfile(name)
    assert file is not None
    return file.read()
