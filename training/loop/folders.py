"""Folders that are whole or not there: written beside their place, flushed to the disk, and swapped in by one call of the system.

A reader, or a run that is killed at any moment, finds the old folder or the new one. Linux and macOS exchange two folders in one step; elsewhere
the old one steps aside first, and a run that is killed in between finds it again at its next start.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

DRAFT, OLD = ".draft-", ".old-"
"""Marks of the hidden neighbours: what is being written or deleted, and what stepped aside."""

LOCK = ".lock"
"""The file that a process holds which works in a folder; it stays, and means nothing by itself."""

_CLAIMED: dict[Path, IO[str]] = {}

FULL = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}
FULL_WORDS = ("no space left on device", "disk quota exceeded", "file too large")
"""A full disk by number, and by the words of libraries that pass only the system's message on."""


UNFLUSHABLE = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EBADF}
"""What network and user-space file systems answer that flush files, but know no flushing of a folder."""


class DiskFull(RuntimeError):
    """There is no room for a folder: nothing of it is left behind, and what was there before still is."""


@contextmanager
def replaced_folder(folder: Path) -> Iterator[Path]:
    """Give an empty folder that takes the place of `folder` once everything in it is on the disk; after an error nothing has changed.

    Raises:
        DiskFull: it did not fit.
    """
    draft = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}{DRAFT}", dir=folder.parent))
        draft.chmod(0o755)
        yield draft
        for path in [*draft.rglob("*"), draft]:
            if path.is_file():
                path.chmod(0o644)  # safetensors writes for the owner alone, and a server may run as someone else
            _flush(path)
        _swap(draft, folder)
        _flush(folder.parent)
    except Exception as error:
        if is_full(error):
            raise DiskFull(
                f"the disk is full: '{folder}' could not be written ({_room(folder.parent)}). What was there before is intact: "
                "make room, then go on with --resume latest"
            ) from error
        raise
    finally:
        if draft is not None:
            shutil.rmtree(draft, ignore_errors=True)  # after the exchange this is the old folder


def removed_folder(folder: Path) -> None:
    """Delete a folder so that a kill halfway does not leave half of it under its name."""
    if folder.exists():
        grave = Path(tempfile.mkdtemp(prefix=f".{folder.name}{DRAFT}", dir=folder.parent))
        os.replace(folder, grave / folder.name)
        shutil.rmtree(grave, ignore_errors=True)


def claimed(folder: Path) -> bool:
    """Keep other processes from working in a folder, until it is given back or this one ends, however it ends.

    Returns:
        False where another process is at work there. On a file system without locks nobody is kept out.
    """
    place = folder.resolve()
    if place in _CLAIMED:
        return True
    file = (folder / LOCK).open("a")
    try:
        if sys.platform == "win32":
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
            file.close()
            return False
    _CLAIMED[place] = file
    return True


def given_back(folder: Path) -> None:
    """Let others work in a folder that was claimed."""
    file = _CLAIMED.pop(folder.resolve(), None)
    if file is not None:
        file.close()


def clean_up(parent: Path) -> list[str]:
    """Remove what killed runs left in a folder, and put back what had stepped aside; to be called while nothing else writes there.

    Returns:
        the names of the folders that were put back.
    """
    back = []
    for aside in sorted(parent.glob(f".*{OLD}*")):
        name = aside.name[1:].rsplit(OLD, 1)[0]
        if not (parent / name).exists() and (aside / name).is_dir():
            os.replace(aside / name, parent / name)
            back.append(name)
        shutil.rmtree(aside, ignore_errors=True)
    for draft in parent.glob(f".*{DRAFT}*"):
        shutil.rmtree(draft, ignore_errors=True)
    return back


def is_full(error: BaseException) -> bool:
    """Whether an error, or one that it came from, says that the disk is full."""
    cause: BaseException | None = error
    while cause is not None:
        if (isinstance(cause, OSError) and cause.errno in FULL) or any(words in str(cause).lower() for words in FULL_WORDS):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _swap(draft: Path, folder: Path) -> None:
    if not folder.exists():
        os.replace(draft, folder)
    elif not _exchange(draft, folder):
        aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}{OLD}", dir=folder.parent))
        os.replace(folder, aside / folder.name)
        os.replace(draft, folder)
        shutil.rmtree(aside, ignore_errors=True)


def _exchange(a: Path, b: Path) -> bool:
    """Let two folders trade places in one step; False where the system or the file system cannot."""
    here, both = -100, 2  # AT_FDCWD, and RENAME_EXCHANGE or RENAME_SWAP
    try:
        if sys.platform == "linux":
            call = ctypes.CDLL(None, use_errno=True).renameat2
            return call(here, os.fsencode(a), here, os.fsencode(b), ctypes.c_uint(both)) == 0
        if sys.platform == "darwin":
            return ctypes.CDLL(None, use_errno=True).renamex_np(os.fsencode(a), os.fsencode(b), ctypes.c_uint(both)) == 0
    except (AttributeError, OSError):
        pass  # an old C library
    return False


def _flush(path: Path) -> None:
    if path.is_dir() and os.name == "nt":
        return  # Windows cannot open a folder
    # Windows flushes only what is open for writing.
    handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if not path.is_dir() or error.errno not in UNFLUSHABLE:
            raise
    finally:
        os.close(handle)


def _room(parent: Path) -> str:
    try:
        return f"{shutil.disk_usage(parent).free / 2**20:,.0f} MiB are free"
    except OSError:
        return "its file system gives no number"
