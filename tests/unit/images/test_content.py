import os
from pathlib import Path

import pytest

from images.content import File, hash_of, read_folder, write_context

FILES = {"Containerfile": File(b"FROM a\n"), "src/a.py": File(b"print()\n")}
FACTS = {"base": "debian-1", "uv": "1"}


def test_hash_is_the_same_for_the_same_inputs_in_another_order() -> None:
    assert hash_of(dict(reversed(FILES.items())), dict(reversed(FACTS.items()))) == hash_of(FILES, FACTS)


@pytest.mark.parametrize(
    ("files", "facts"),
    [
        pytest.param({**FILES, "src/a.py": File(b"print(1)\n")}, FACTS, id="content"),
        pytest.param({**FILES, "src/a.py": File(b"print()\n", executable=True)}, FACTS, id="mode"),
        pytest.param({"Containerfile": FILES["Containerfile"], "src/b.py": FILES["src/a.py"]}, FACTS, id="name"),
        pytest.param({**FILES, "src/b.py": File(b"")}, FACTS, id="one more file"),
        pytest.param(FILES, {**FACTS, "base": "debian-2"}, id="base"),
        pytest.param(FILES, {**FACTS, "label": ""}, id="one more fact"),
        pytest.param({"Containerfile": File(b"FROM a\nfile 'src/a.py' False 8\nprint()\n")}, FACTS, id="run together"),
    ],
)
def test_hash_changes_with_each_input(files: dict[str, File], facts: dict[str, str]) -> None:
    assert hash_of(files, facts) != hash_of(FILES, FACTS)


def test_times_and_leftovers_of_python_are_no_input(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("print()\n")
    before = read_folder(tmp_path, "src/")
    os.utime(tmp_path / "a.py", (0, 0))
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.cpython-311.pyc").write_bytes(b"\0")
    assert read_folder(tmp_path, "src/") == before == {"src/a.py": File(b"print()\n")}


def test_a_context_on_disk_holds_the_same_files(tmp_path: Path) -> None:
    files = {**FILES, "entry.sh": File(b"#!/bin/sh\n", executable=True)}
    write_context(files, tmp_path)
    assert read_folder(tmp_path) == files
