"""`Reason`: why something failed, as a text id that the app translates; `reason_of` finds it for the errors of other libraries.

What another library says is English and written for its authors. The usual causes are told by a sentence of ours; the library's own words come
with it as a technical detail, marked as one, and stand alone only where the cause is unknown.
"""

from __future__ import annotations

import errno
import json
import re
from dataclasses import dataclass, field
from typing import Any

REASONS = {
    "reason.unknown": "the cause is not known",
    "reason.cut_short": "the file ends too early",
    "reason.not_that_format": "its content is not of this format",
    "reason.not_json": "it is no valid JSON, at line {line}",
    "reason.not_an_object": "it is not a JSON object",
    "reason.not_text": "it is no text in UTF-8",
    "reason.no_weight_map": "it has no weight_map",
    "reason.names_file": "it names {file}, which is no numbered piece of the weights",
    "reason.no_permission": "no permission to read or write there",
    "reason.disk_full": "no space is left there",
    "reason.file_gone": "the file is not there",
    "reason.no_answer": "no answer within {seconds} s",
    "reason.timed_out": "the connection timed out",
    "reason.refused": "the connection was refused",
    "reason.dropped": "the connection broke off",
    "reason.host_unknown": "the host's name cannot be resolved",
    "reason.certificate": "the host's certificate is not accepted",
    "reason.offline_mode": "HF_HUB_OFFLINE forbids going online",
    "reason.status_401": "the Hub does not know this token, 401",
    "reason.status_403": "the token may not read it, 403",
    "reason.status_404": "the Hub does not have it, 404",
    "reason.status_429": "the Hub gets too many requests, 429",
    "reason.status_5xx": "a fault of the Hub's server, {status}",
    "reason.token_character": "it holds a character that no token has: copy it again",
    "reason.wrong_shapes": "sizes or shapes do not fit together",
    "reason.weight_missing": "{name} missing, {count} in all",
    "reason.weight_left_over": "{name} unknown, {count} in all",
    "reason.no_network": "its config.json builds no network",
    "reason.no_memory": "there is not enough memory",
    "reason.platform": "reported by the platform",
    "reason.not_ddpm": "{found} is not a scheduler of the DDPM family",
    "reason.scheduler_value": "its configuration holds a value that cannot be used",
    "reason.output_shape": "it returns shape {found} instead of {expected}",
    "reason.output_not_finite": "it returns NaN or infinite values",
}

DETAIL = "technical detail: {detail}"

LONGEST_DETAIL = 300

ERRNO = {
    errno.ENOSPC: "reason.disk_full",
    errno.EDQUOT: "reason.disk_full",
    errno.EACCES: "reason.no_permission",
    errno.EPERM: "reason.no_permission",
    errno.EROFS: "reason.no_permission",
    errno.ENOENT: "reason.file_gone",
    errno.ETIMEDOUT: "reason.timed_out",
    errno.ECONNREFUSED: "reason.refused",
    errno.ECONNRESET: "reason.dropped",
    errno.ECONNABORTED: "reason.dropped",
    errno.EPIPE: "reason.dropped",
}

# httpx keeps the number of a failed connection only in its message, and each system words a failed look-up of a name in its own way.
WORDS = (
    (r"name or service not known|getaddrinfo|nodename nor servname|name resolution|no address associated", "reason.host_unknown"),
    (r"certificate", "reason.certificate"),
    (r"connection refused|actively refused", "reason.refused"),
    (r"timed out|timeout", "reason.timed_out"),
    (r"connection reset|disconnected|peer closed|connection broke|readerror|remoteprotocolerror", "reason.dropped"),
    (r"no space left|not enough free disk", "reason.disk_full"),
    (r"permission denied", "reason.no_permission"),
    (r"offline mode|HF_HUB_OFFLINE", "reason.offline_mode"),
    (r"truncated|header too small|invalid header length|incomplete metadata|premature end", "reason.cut_short"),
    (r"deserializing header|cannot identify|broken data stream|unrecognized data|could not create decoder|decoder error", "reason.not_that_format"),
    (r"size mismatch|sizes? of tensor|size of tensor|shapes? cannot|shape mismatch|invalid for input of size|expected size", "reason.wrong_shapes"),
    (r"out of memory|can't allocate memory|unable to allocate", "reason.no_memory"),
)


@dataclass(frozen=True)
class Reason:
    """One cause: `str` is its English, with the technical detail behind it.

    Args:
        key: one of REASONS; values: what its placeholders stand for; detail: another library's own words, "" for none.
    """

    key: str
    values: dict[str, Any] = field(default_factory=dict)
    detail: str = ""

    def __str__(self) -> str:
        said = REASONS[self.key].format(**self.values)
        return f"{said}; {DETAIL.format(detail=self.detail)}" if self.detail else said


def reason_of(error: BaseException, otherwise: str = "reason.unknown") -> Reason:
    """Tell the cause of another library's error, or of the system's.

    Args:
        otherwise: the key where the error is none of the usual ones.
    """
    if isinstance(error, json.JSONDecodeError):
        return Reason("reason.not_json", {"line": error.lineno}, _line(error.msg))
    if isinstance(error, UnicodeDecodeError):
        return Reason("reason.not_text")
    detail = _line(getattr(error, "server_message", None) or (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__)
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(status, int) and (key := f"reason.status_{status}") in REASONS:
        return Reason(key, {}, detail)
    if isinstance(status, int) and status >= 500:
        return Reason("reason.status_5xx", {"status": status}, detail)
    return Reason(_key(error, detail) or otherwise, {}, detail)


def _key(error: BaseException, detail: str) -> str | None:
    if isinstance(error, OSError) and error.errno in ERRNO:
        return ERRNO[error.errno]
    if isinstance(error, MemoryError):
        return "reason.no_memory"
    # The name of the type tells more than the message of some: httpx's time-outs have an empty one.
    said = " ".join([detail, *(each.__name__ for each in type(error).__mro__)])
    return next((key for words, key in WORDS if re.search(words, said, flags=re.IGNORECASE)), None)


def _line(words: str) -> str:
    return " ".join(words.split())[:LONGEST_DETAIL]
