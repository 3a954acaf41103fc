"""One commit on the Hub, sent until it is there: what passes is tried again, what does not is told with its fix."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeAlias

from huggingface_hub import CommitInfo, CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import get_session, httpx

from ddpm_space.hub import token_fault, token_of

WAITS = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Seconds before each further attempt at a commit."""

TIMEOUT = 60.0
"""Seconds without a byte after which the Hub is given up; the client itself waits for ever."""

NO_TOKEN = (
    "there is no token to push '{repo_id}' with: run `hf auth login`, or set HF_TOKEN to a token with the role write "
    "(it is no option, so that it stays out of logs and cards)."
)

FAULTS = (HfHubHTTPError, httpx.HTTPError, ConnectionError)

Operation: TypeAlias = CommitOperationAdd | CommitOperationDelete


class HubError(RuntimeError):
    """The Hub did not take it; the message names the reason and the fix, and never a token."""


def commit(
    api: HfApi,
    repo_id: str,
    operations: Callable[[], Sequence[Operation]],
    message: str,
    *,
    repo_type: str = "model",
    revision: str | None = None,
    create_pr: bool = False,
) -> CommitInfo:
    """Make one commit, again after a fault that passes: what was uploaded by then is not sent twice.

    Args:
        operations: makes them anew for each attempt, since the client marks the ones it has seen.
    Raises:
        the client's errors, for `explained` to tell.
    """
    for wait in (*WAITS, None):
        _limit_waiting()
        try:
            return api.create_commit(
                repo_id, operations(), commit_message=message, repo_type=repo_type, revision=revision, create_pr=create_pr or None
            )
        except (*FAULTS, RuntimeError) as error:
            # The client wraps what went wrong with a weight in a RuntimeError of its own.
            fault = error.__cause__ if isinstance(error.__cause__, FAULTS) and not isinstance(error, FAULTS) else error
            if wait is None or not _passes(fault):
                raise fault from fault.__cause__
            print(f"the Hub did not take the commit ({_short(api, fault)}): again in {wait:g} s", file=sys.stderr, flush=True)
            time.sleep(wait)
    raise AssertionError("the last attempt returns or raises")


def ready_to_write(api: HfApi, repo_id: str, *, private: bool, repo_type: str = "model") -> None:
    """Make a repository where there is none. That it is there proves no right to write: the first commit does.

    Args:
        repo_id: "user/name"; private: it must be, if it is there already.
    Raises:
        HubError: no name, no token or none that can be sent, or public though it must be private.
    """
    token = token_of(api)
    if not token:
        raise HubError(NO_TOKEN.format(repo_id=repo_id))
    if fault := token_fault(token):
        raise HubError(f"the token cannot be sent to {api.endpoint}: {fault}.")
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repo_id):
        raise HubError(f"'{repo_id}' is no name of a repository: use user/name.")
    if not api.repo_exists(repo_id, repo_type=repo_type):
        sdk = "gradio" if repo_type == "space" else None
        api.create_repo(repo_id, private=private or None, repo_type=repo_type, space_sdk=sdk, exist_ok=True)
    if private and not api.repo_info(repo_id, repo_type=repo_type).private:
        raise HubError(f"'{repo_id}' is public, and a private one was asked for: make it private in its settings, or push to another name.")


def _passes(error: BaseException) -> bool:
    """Whether a later attempt can succeed: the server's own faults, too many requests, a commit of someone else in between, a cut connection."""
    if isinstance(error, OfflineModeIsEnabled):
        return False
    status = _status(error)
    return status is None or status >= 500 or status in (408, 412, 429)


def _status(error: BaseException) -> int | None:
    """What HTTP answered, None if it did not; hf_xet, which sends the weights, raises a ConnectionError that names it."""
    if isinstance(error, HfHubHTTPError):
        return error.response.status_code
    found = re.search(r"HTTP status (?:client|server) error \((\d{3})", str(error))
    return int(found[1]) if found else None


@contextmanager
def explained(api: HfApi, repo_id: str, fix: str = "") -> Iterator[None]:
    """Turn what the client raises into one HubError.

    Args:
        repo_id: where to; fix: what to do once the cause is gone, added to the message.
    """
    _limit_waiting()
    try:
        yield
    except HubError:
        raise
    except (*FAULTS, LocalTokenNotFoundError, ValueError, RuntimeError) as error:
        raise HubError(_reason(api, repo_id, error) + (f" {fix}" if fix else "")) from error


def _reason(api: HfApi, repo_id: str, error: Exception) -> str:
    said, status = _short(api, error), _status(error)
    if isinstance(error, OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set, and nothing can be pushed without the Hub: unset it."
    if isinstance(error, LocalTokenNotFoundError) or (status == 401 and not token_of(api)):
        return NO_TOKEN.format(repo_id=repo_id)
    if status == 401:
        return f"{api.endpoint} does not know the token ({said}): make a new one and run `hf auth login`; HF_TOKEN, where set, is taken first."
    if status == 403:
        return (
            f"the token may not write to '{repo_id}' ({said}): use a token with the role write, and a name under your own user or organisation, "
            "or a pull request (--hub_create_pr; for a Space --create_pr)."
        )
    if isinstance(error, RevisionNotFoundError):
        return f"'{repo_id}' has no such branch or pull request ({said}): give another revision."
    if isinstance(error, RepositoryNotFoundError):
        return f"{api.endpoint} shows no '{repo_id}' to this token: check the name, and that the token may see it."
    if isinstance(error, HFValidationError):
        return f"'{repo_id}' is no name of a repository ({said}): use user/name with letters, digits, '-', '_' and '.'."
    if status is not None:
        return f"{api.endpoint} refused with status {status} ({said})."
    if isinstance(error, RuntimeError):
        return f"the upload failed ({said})."
    if isinstance(error, ValueError):
        return f"the Hub does not accept what was to be pushed ({said})."
    return f"{api.endpoint} cannot be reached ({said}): check the network; HF_ENDPOINT names another Hub."


def _limit_waiting() -> None:
    """Let requests of this process's client end that would wait for ever; the client is made anew after some faults, so this is asked again."""
    hooks = get_session().event_hooks["request"]
    if _fill_timeouts not in hooks:
        hooks.append(_fill_timeouts)


def _fill_timeouts(request: httpx.Request) -> None:
    given = request.extensions.get("timeout", {})
    request.extensions["timeout"] = {name: TIMEOUT if given.get(name) is None else given[name] for name in ("connect", "read", "write", "pool")}


def _short(api: HfApi, error: BaseException) -> str:
    """One line of an error, without a token."""
    text = getattr(error, "server_message", None) or str(error) or type(error).__name__
    text = " ".join(text.split())
    secret = token_of(api)
    if secret:
        text = text.replace(secret, "***")
    return re.sub(r"\bhf_\w{8,}", "hf_***", text)[:300]
