"""Fetch a model's files from the Hugging Face Hub into its usual cache: the listing first, then only the files that are read."""

from __future__ import annotations

import re
from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError, RevisionResolutionError
from huggingface_hub.utils import filter_repo_objects, httpx

from ddpm_space.pipeline_folder import WANTED, ModelError, check_names

TIMEOUT = 10.0
"""Seconds that the Hub has to answer the first question; a download itself has none in huggingface_hub."""

MAX_MEGABYTES = 2000

COMMIT = re.compile(r"[0-9a-f]{40}")


def download(repo: str, revision: str | None, hub: HfApi | None = None) -> tuple[Path, str | None]:
    """Bring a model onto this machine; a copy that is already here serves when the Hub cannot be reached, and always for a full commit hash.

    Args:
        repo: "user/model"; revision: branch, tag or commit, None for the default branch; hub: default the one that the environment names.
    Returns:
        its folder in the cache, and the commit.
    Raises:
        ModelError: no such model, no pipeline, too large, no network and no copy.
    """
    hub = hub or HfApi()
    source = repo if revision is None else f"{repo}@{revision}"
    if revision and COMMIT.fullmatch(revision):
        cached = _cached(hub, repo, revision)
        if cached:
            return cached, revision
    try:
        # Asked first because this call alone has a timeout, and because its answer tells what the files are before they are fetched.
        info = hub.model_info(repo, revision=revision, files_metadata=True, timeout=TIMEOUT)
        siblings = info.siblings or []
        check_names({sibling.rfilename for sibling in siblings}, source)
        size = sum(item.size or 0 for item in filter_repo_objects(siblings, allow_patterns=list(WANTED), key=lambda item: item.rfilename))
        if size > MAX_MEGABYTES * 1_000_000:
            raise ModelError("error.model.too_large", repo=source, megabytes=size // 1_000_000, limit=MAX_MEGABYTES)
        return Path(hub.snapshot_download(repo, revision=info.sha, allow_patterns=list(WANTED))), info.sha
    except (RepositoryNotFoundError, RevisionNotFoundError, HFValidationError) as error:
        raise ModelError("error.model.hub_missing", repo=source) from error
    except (OSError, httpx.HTTPError, RevisionResolutionError) as error:
        cached = _cached(hub, repo, revision)
        if cached:
            return cached, cached.name
        raise ModelError("error.model.offline", repo=source, reason=_first_line(error)) from error


def _cached(hub: HfApi, repo: str, revision: str | None) -> Path | None:
    try:
        return Path(hub.snapshot_download(repo, revision=revision, allow_patterns=list(WANTED), local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError, RevisionResolutionError):
        return None


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
