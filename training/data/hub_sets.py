"""Data sets on the Hub: found, opened, and every way in which that fails told with its fix."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import datasets
import huggingface_hub
from datasets import Dataset, IterableDataset, load_dataset, load_dataset_builder
from datasets.exceptions import DatasetNotFoundError
from huggingface_hub import HfApi
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, OfflineModeIsEnabled, RepositoryNotFoundError, RevisionNotFoundError
from huggingface_hub.utils import httpx

from training.data.pictures import DataError

HUB_SECONDS = 10.0
"""How long the Hub may take to say that a data set is there."""

Load = Callable[[str, bool], Dataset | IterableDataset]
"""(split, streaming) -> the rows of that split."""


def find_on_hub(source: str, config: str | None, revision: str | None) -> tuple[tuple[str, ...], Load, str]:
    """Find a data set of the Hub, or the copy of it in the cache where the Hub does not answer.

    Args:
        source: its id. config, revision: which of its configurations; which branch, tag or commit.
    Returns:
        its splits, what opens one of them, and a note: that it comes from the cache, or nothing.
    Raises:
        DataError: missing, private, gated, another revision or configuration, or nobody answers and it is not in the cache.
    """
    named = f"'{source}' is not a file or folder here, and as a data set of the Hub it"
    silence = loading(lambda: _silence(source, revision), named)

    def asked(load: Callable[[], Any], what: str) -> Any:
        # The Hub was asked once and does not answer: datasets would try for minutes before it looks into the cache.
        with _offline() if silence else nullcontext():
            return loading(load, what, silence)

    builder = asked(lambda: load_dataset_builder(source, config, revision=revision), named)
    splits = tuple(map(str, builder.config.data_files or builder.info.splits or ()))

    def load(split: str, streaming: bool) -> Dataset | IterableDataset:
        return asked(lambda: load_dataset(source, config, revision=revision, split=split, streaming=streaming), f"'{source}' with split '{split}'")

    return splits, load, (f"{silence}: {source} is read from the cache, as it was when it was last loaded" if silence else "")


def _silence(source: str, revision: str | None) -> str:
    """Why the Hub cannot be asked about a data set; empty if it can."""
    api = HfApi()
    try:
        api.dataset_info(source, revision=revision, timeout=HUB_SECONDS)
    except OfflineModeIsEnabled:
        return "HF_HUB_OFFLINE is set"
    except httpx.TransportError as error:
        return f"{api.endpoint} does not answer ({type(error).__name__})"
    except HfHubHTTPError as error:
        if error.response.status_code < 500:
            raise
        return f"{api.endpoint} does not answer (status {error.response.status_code})"
    return ""


@contextmanager
def _offline() -> Iterator[None]:
    """Let datasets look into the cache alone, as under HF_HUB_OFFLINE, which the libraries read only when they are imported."""
    places = [(datasets.config, datasets.config.HF_HUB_OFFLINE), (huggingface_hub.constants, huggingface_hub.constants.HF_HUB_OFFLINE)]
    try:
        for place, _ in places:
            setattr(place, "HF_HUB_OFFLINE", True)  # noqa: B010 (mypy knows one of them as a constant)
        yield
    finally:
        for place, was in places:
            setattr(place, "HF_HUB_OFFLINE", was)  # noqa: B010


def loading(load: Callable[[], Any], what: str, silence: str = "") -> Any:
    """Call one of datasets' loaders, whose failures are of many unrelated types.

    Args:
        what: that is to be loaded, for the error. silence: why the Hub cannot be asked.
    Raises:
        DataError: it failed.
    """
    try:
        return load()
    except DataError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{what} could not be opened ({type(error).__name__}: {reason}): {_fix(error, silence)}") from error


def _fix(error: Exception, silence: str) -> str:
    causes: list[BaseException] = [error]
    while (inner := causes[-1].__cause__ or causes[-1].__context__) is not None and len(causes) < 20:
        causes.append(inner)

    def due_to(kind: type[BaseException]) -> bool:
        return any(isinstance(cause, kind) for cause in causes)

    if any(isinstance(cause, OSError) and cause.errno == errno.ENOSPC for cause in causes):
        return f"the disk is full: free some space, or set HF_HOME to a folder on another one (the cache is in {datasets.config.HF_DATASETS_CACHE})"
    if due_to(GatedRepoError) or "gated dataset" in str(error):
        return "its owner gives access on its page on the Hub; then log in (`hf auth login`, or HF_TOKEN) as the one who was given it"
    if due_to(RevisionNotFoundError):
        return "dataset_revision names no branch, tag or commit of it"
    if silence:
        return f"{silence}, and the set is not in the cache: check the name, the split and the network"
    if "Invalid credentials" in str(error) or due_to(UnicodeEncodeError):  # a typographic quote, say, that no header can carry
        return "the token is not a valid one: set HF_TOKEN to another, or log in again with `hf auth login`"
    if due_to(DatasetNotFoundError) or due_to(RepositoryNotFoundError):
        return "check the name; a private set needs a login (`hf auth login`, or HF_TOKEN)"
    if "Config name is missing" in str(error) or "BuilderConfig" in str(error):
        return "choose a configuration with dataset_config"
    return "check the name, the split and the network"
