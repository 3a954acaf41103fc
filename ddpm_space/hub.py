"""Fetch a model from the Hugging Face Hub into its usual cache: the listing first, then what it is, then its weights, each file checked by its hash.

Whatever the Hub does, an answer comes: every question runs in a thread of its own that is left behind when its time is over, since
huggingface_hub gives several of them no limit. A copy that is already here serves when the Hub cannot be reached, and the caller is told.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

from huggingface_hub import HfApi, constants, get_token, hf_hub_url
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, HFValidationError, RepositoryNotFoundError, RevisionNotFoundError
from huggingface_hub.hf_api import RepoSibling
from huggingface_hub.utils import httpx

from ddpm_space.pipeline_folder import ModelError, check_names, names_in, read_configurations, read_folder, wanted
from ddpm_space.reasons import Reason, reason_of

TIMEOUT = 10.0
"""Seconds without a byte after which the Hub counts as silent."""

PATIENCE = 60.0
"""Seconds that one question, or one small file, may take in all."""

SLOWEST = 100_000
"""Bytes a second below which a download is given up: a file of n bytes has PATIENCE + n / SLOWEST seconds."""

PAUSES = (1.0, 2.0)
"""Seconds between tries where the Hub fails in a way that passes (5xx, a dropped connection) and huggingface_hub does not try again."""

MAX_MEGABYTES = 2000
"""Of weights."""

MAX_MEGABYTES_BESIDE = 20
"""Of the card and the configurations."""

COMMIT = re.compile(r"[0-9a-f]{40}")
HASH = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")

Answer = TypeVar("Answer")


class Download(NamedTuple):
    """A model on this machine: its folder in the cache, the commit, and the warning that it is an older copy, or None."""

    folder: Path
    commit: str
    note: ModelError | None


class _Unreached(Exception):
    """The Hub gave no answer, or one that tells nothing about the model; the cause is the argument."""


class _NoAnswer(TimeoutError):
    """The Hub was silent for the seconds that are the argument."""


def download(repo: str, revision: str | None, hub: HfApi | None = None, max_megabytes: float | None = None) -> Download:
    """Bring a model onto this machine; a full commit hash that is here is never asked for again.

    Args:
        repo: "user/model"; revision: branch, tag or commit, None for the default branch; hub: default the one that the environment names.
        max_megabytes: of weights; default MAX_MEGABYTES.
    Raises:
        ModelError: no such model or revision, no access, no pipeline that can be used, too large, damaged on the way, no network and no copy.
    """
    hub = hub or HfApi()
    source = repo if revision is None else f"{repo}@{revision}"
    try:
        if revision and COMMIT.fullmatch(revision) and (folder := _cached(hub, repo, revision, source)):
            return Download(folder, revision, None)
        return _fetch(hub, repo, revision, source, MAX_MEGABYTES if max_megabytes is None else max_megabytes)
    except GatedRepoError as error:
        raise ModelError("error.model.gated", repo=source, url=f"{hub.endpoint}/{repo}") from error
    except RevisionNotFoundError as error:
        raise ModelError("error.model.revision", repo=repo, revision=revision, known=_revisions(hub, repo)) from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise ModelError("error.model.hub_missing", repo=source) from error
    except HfHubHTTPError as error:
        raise ModelError("error.model.token", repo=source, reason=_reason(error)) from error
    except _Unreached as unreached:
        cause: Exception = unreached.args[0]
        reason = _reason(cause)
        if folder := _cached(hub, repo, revision, source):
            return Download(folder, folder.name, ModelError("error.model.old_copy", repo=source, reason=reason, commit=folder.name[:10]))
        if isinstance(cause, OSError) and cause.errno is not None and not isinstance(cause, ConnectionError):
            raise ModelError("error.model.cache", repo=source, folder=constants.HF_HUB_CACHE, reason=reason) from cause
        raise ModelError("error.model.offline", repo=source, reason=reason) from cause


def token_of(hub: HfApi) -> str | None:
    """The token that a client sends: its own, or that of HF_TOKEN or the login; None if there is none, or it shall not be sent."""
    if hub.token is False:
        return None
    return hub.token if isinstance(hub.token, str) else get_token()


def token_fault(token: str) -> Reason | None:
    """What no header can carry, and no token holds: a typographic quote or an invisible sign that was copied with it; None if there is none."""
    return None if re.fullmatch(r"[!-~]*", token) else Reason("reason.token_character")


def _fetch(hub: HfApi, repo: str, revision: str | None, source: str, max_megabytes: float) -> Download:
    if fault := token_fault(token_of(hub) or ""):
        raise ModelError("error.model.token", repo=source, reason=fault)
    # The listing tells names, sizes and hashes before anything is fetched, and the small files the architecture before the weights are.
    info = _ask(PATIENCE, lambda: hub.model_info(repo, revision=revision, files_metadata=True, timeout=TIMEOUT))
    commit, files = str(info.sha), {sibling.rfilename: sibling for sibling in info.siblings or []}
    check_names(files.keys(), source)
    names = wanted(files.keys())
    for name in names:
        # Not every mirror lists sizes and hashes; what it sends it must announce.
        if files[name].size is None:
            url = hf_hub_url(repo, name, revision=commit, endpoint=hub.endpoint)
            files[name].size = _ask(PATIENCE, partial(hub.get_hf_file_metadata, url=url, timeout=TIMEOUT)).size
    weights = [name for name in names if name.endswith(".safetensors")]
    _check_size([files[name] for name in names if name not in weights], MAX_MEGABYTES_BESIDE, source)
    folder = None
    for name in names:
        if folder and weights and name == weights[0]:
            read_configurations(folder, source)
            _check_size([files[name] for name in weights], max_megabytes, source)
        path = _fetch_file(hub, repo, commit, files[name], source)
        folder = path.parents[name.count("/")]
    assert folder is not None, "check_names found weights"
    read_folder(folder, source)
    if not COMMIT.fullmatch(revision or ""):
        # Only now: a branch that the cache notes as this commit must find all of it when the Hub is away. Without that note the model is as good.
        with contextlib.suppress(_Unreached, HfHubHTTPError):
            _ask(TIMEOUT, lambda: hub.resolve_revision(repo, revision=revision))
    return Download(folder, commit, None)


def _check_size(files: list[RepoSibling], limit: float, source: str) -> None:
    size = sum(file.size or 0 for file in files)
    if size > limit * 1_000_000:
        raise ModelError("error.model.too_large", repo=source, megabytes=size // 1_000_000, limit=limit)


def _fetch_file(hub: HfApi, repo: str, commit: str, file: RepoSibling, source: str) -> Path:
    """One file of a commit, its hash compared with the listing: over plain HTTP the client looks at the size alone."""
    listed = file.lfs.sha256 if file.lfs else file.blob_id
    seconds = PATIENCE + (file.size or 0) / SLOWEST
    for _ in range(2):
        path = Path(_ask(seconds, lambda: hub.hf_hub_download(repo, file.rfilename, revision=commit), passing=(httpx.ReadError,)))
        expected = listed or _hash_in_cache(path)
        if expected is None or hash_of(path, expected) == expected:
            return path
        path.resolve().unlink(missing_ok=True)
        path.unlink(missing_ok=True)
    raise ModelError("error.model.checksum", file=file.rfilename, repo=source)


def hash_of(path: Path, like: str) -> str:
    """Hash of a file in the manner of another: SHA-256 (64 digits), or git's SHA-1 of a blob (40 digits)."""
    digest = hashlib.sha256() if len(like) == 64 else hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _cached(hub: HfApi, repo: str, revision: str | None, source: str) -> Path | None:
    """The copy on this machine, if all of it is there and undamaged."""
    try:
        commit = hub.resolve_revision(repo, revision=revision, local_files_only=True).resolved
        folder = Path(hub.hf_hub_download(repo, "model_index.json", revision=commit, local_files_only=True)).parent
        read_folder(folder, source)
    except Exception:  # whatever is wrong with it, there is no copy that can be used
        return None
    for name in wanted(names_in(folder)):
        expected = _hash_in_cache(folder / name)
        if expected and hash_of(folder / name, expected) != expected:
            return None
    return folder


def _hash_in_cache(path: Path) -> str | None:
    """The hash by which the cache names a file's content and to which the file is a link; None where links are not to be had (some Windows)."""
    name = Path(os.readlink(path)).name if path.is_symlink() else ""
    return name if HASH.fullmatch(name) else None


def _ask(
    seconds: float, question: Callable[[], Answer], passing: tuple[type[Exception], ...] = (httpx.RemoteProtocolError, httpx.ReadError)
) -> Answer:
    """Ask the Hub, for so long at most; what it says about the model is raised as it is, everything else as _Unreached.

    Args:
        passing: errors that a second try may mend, beside 5xx. A download that is cut the client takes up again itself, but not one whose connection
            is reset, or closed under it by another thread that lost its own (the client has one session for all).
    """
    answer: Future[Answer] = Future()

    def work() -> None:
        try:
            answer.set_result(_patiently(question, passing))
        except BaseException as error:
            answer.set_exception(error)

    threading.Thread(target=work, name="ask-the-hub", daemon=True).start()
    wait([answer], seconds)
    if not answer.done():
        raise _Unreached(_NoAnswer(round(seconds)))
    try:
        return answer.result()
    except (RepositoryNotFoundError, RevisionNotFoundError, HFValidationError):
        raise
    except Exception as error:  # the client, its HTTP library and hf_xet have many
        if isinstance(error, HfHubHTTPError) and error.response.status_code in (401, 403):
            raise
        raise _Unreached(error) from error


def _patiently(question: Callable[[], Answer], passing: tuple[type[Exception], ...]) -> Answer:
    for pause in PAUSES:
        try:
            return question()
        except HfHubHTTPError as error:
            if error.response.status_code < 500:
                raise
        except passing:
            pass
        time.sleep(pause)
    return question()


def _revisions(hub: HfApi, repo: str) -> str:
    try:
        refs = _ask(TIMEOUT, lambda: hub.list_repo_refs(repo))
    except Exception:  # only to make a message better
        return "main"
    return ", ".join(ref.name for ref in (*refs.branches, *refs.tags))


def _reason(error: BaseException) -> Reason:
    """What happened: by the Hub's own answer, or by the cause where the client put another error around it."""
    while isinstance(error, FileNotFoundError) and error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, _NoAnswer):
        return Reason("reason.no_answer", {"seconds": error.args[0]})
    return reason_of(error)
