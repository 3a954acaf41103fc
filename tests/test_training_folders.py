"""A folder is replaced whole or not at all: watched from beside, cut short, out of room, and found again after a kill."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from training.loop import folders
from training.loop.folders import DiskFull, claimed, clean_up, given_back, is_full, removed_folder, replaced_folder

ROOT = Path(__file__).resolve().parent.parent


def put(folder: Path, text: str) -> None:
    with replaced_folder(folder) as draft:
        (draft / "inner").mkdir()
        (draft / "inner" / "file").write_text(text)


def held(folder: Path) -> str:
    return (folder / "inner" / "file").read_text()


@pytest.mark.parametrize("exchange", [True, False])
def test_a_folder_is_replaced_whole_or_not_at_all(exchange: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not exchange:
        monkeypatch.setattr(folders, "_exchange", lambda a, b: False)
    folder = tmp_path / "model"
    for text in ("first", "second"):
        put(folder, text)
        assert held(folder) == text
    with pytest.raises(ValueError, match="no picture"), replaced_folder(folder) as draft:
        (draft / "file").write_text("half")
        raise ValueError("no picture")
    assert held(folder) == "second" and [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.skipif(sys.platform != "linux", reason="the exchange in one step is tested on Linux")
def test_a_reader_never_misses_the_folder(tmp_path: Path) -> None:
    folder, missed, stop = tmp_path / "model", [], threading.Event()
    put(folder, "0")

    def read() -> None:
        while not stop.is_set():
            try:
                os.stat(folder / "inner" / "file")
            except OSError as error:
                missed.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for index in range(200):
        put(folder, str(index))
    stop.set()
    reader.join()
    assert not missed and held(folder) == "199"


def test_what_a_killed_run_left_is_cleaned_and_what_stepped_aside_comes_back(tmp_path: Path) -> None:
    put(tmp_path / "kept", "kept")
    put(tmp_path / ".images-1.old-abc" / "images-1", "aside")
    put(tmp_path / ".kept.old-abc" / "kept", "older")
    (tmp_path / ".kept.draft-xyz" / "inner").mkdir(parents=True)
    (tmp_path / ".gitignore").write_text("*")
    assert clean_up(tmp_path) == ["images-1"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [".gitignore", "images-1", "kept"]
    assert held(tmp_path / "images-1") == "aside" and held(tmp_path / "kept") == "kept"
    removed_folder(tmp_path / "kept")
    removed_folder(tmp_path / "never was there")
    assert clean_up(tmp_path / "nowhere") == [] and not (tmp_path / "kept").exists()


def test_a_full_disk_is_known_by_number_by_words_and_by_its_cause() -> None:
    assert is_full(OSError(errno.ENOSPC, "kein Platz")) and is_full(RuntimeError("I/O error: No space left on device (os error 28)"))
    wrapped = ValueError("could not save")
    wrapped.__cause__ = OSError(errno.ENOSPC, "")
    assert is_full(wrapped) and not is_full(OSError(errno.EACCES, "Permission denied"))


FILL = """
import sys
from pathlib import Path
import torch
from safetensors.torch import save_file
from training.loop.folders import DiskFull, replaced_folder
folder = Path(sys.argv[1]) / "model"
for kib in (256, 4096):
    try:
        with replaced_folder(folder) as draft:
            save_file({"x": torch.zeros(kib * 256)}, draft / "state.safetensors")
    except DiskFull as error:
        print(error)
print(sorted(path.name for path in folder.parent.iterdir()), (folder / "state.safetensors").stat().st_size)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="a small file system of one's own needs Linux")
def test_on_a_disk_that_is_really_full_the_old_folder_stays_and_the_error_says_so(tmp_path: Path) -> None:
    mount = f"mount -t tmpfs -o size=1M tmpfs {tmp_path} && exec {sys.executable} -c '{FILL}' {tmp_path}"
    done = subprocess.run(["unshare", "-rm", "sh", "-c", mount], cwd=ROOT, capture_output=True, text=True, timeout=120)
    if "Operation not permitted" in done.stderr or "permission denied" in done.stderr.lower():
        pytest.skip(f"no file system of one's own may be mounted here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    error, left = done.stdout.splitlines()
    assert "the disk is full" in error and "MiB are free" in error and "--resume latest" in error
    assert left == f"['model'] {256 * 1024 + 72}"


def test_another_error_is_not_taken_for_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(PermissionError), replaced_folder(tmp_path / "model"):
        raise PermissionError(errno.EACCES, "Permission denied")
    with pytest.raises(DiskFull), replaced_folder(tmp_path / "model"):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_file_system_that_cannot_flush_a_folder_is_written_to_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flush = os.fsync

    def without_folders(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        flush(handle)

    monkeypatch.setattr(os, "fsync", without_folders)
    put(tmp_path / "model", "first")
    assert held(tmp_path / "model") == "first"

    def failing(handle: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(OSError, match="Input/output"):
        put(tmp_path / "model", "second")
    assert held(tmp_path / "model") == "first"


CLAIM = "import sys; from pathlib import Path; from training.loop.folders import claimed; print(claimed(Path(sys.argv[1])))"


def test_a_folder_is_claimed_by_one_process_until_it_is_given_back(tmp_path: Path) -> None:
    def another() -> str:
        return subprocess.run([sys.executable, "-c", CLAIM, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()

    assert claimed(tmp_path) and claimed(tmp_path)
    assert another() == "False"
    given_back(tmp_path)
    given_back(tmp_path)
    assert another() == another() == "True"


def test_what_is_written_can_be_read_by_others(tmp_path: Path) -> None:
    """safetensors writes for the owner alone; a page that serves the model may run as someone else."""
    with replaced_folder(tmp_path / "model") as draft:
        (draft / "unet").mkdir()
        (draft / "unet" / "weights").write_bytes(b"1")
        (draft / "unet" / "weights").chmod(0o600)
    assert (tmp_path / "model" / "unet" / "weights").stat().st_mode & 0o044 == 0o044
