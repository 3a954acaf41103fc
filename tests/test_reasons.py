"""Why something failed: every cause has a sentence in both languages, and another library's words are never more than a detail."""

from __future__ import annotations

import ast
import errno
import json
import re
from collections import Counter
from pathlib import Path

import httpx
import pytest
import torch
from huggingface_hub.errors import HfHubHTTPError
from PIL import Image
from safetensors import safe_open

import ddpm_space
from ddpm_space.pipeline_folder import ModelError
from ddpm_space.reasons import REASONS, Reason, reason_of
from ddpm_space.ui.text import TEXT
from ddpm_space.ui.widgets import encode, error_payload

FOLDER = Path(ddpm_space.__file__).parent


def caught(work: object, *arguments: object) -> Exception:
    with pytest.raises(Exception) as found:
        work(*arguments)  # type: ignore[operator]
    return found.value


def read_weights(path: Path) -> None:
    with safe_open(path, "pt"):
        pass


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_every_reason_is_said_in_both_languages_and_every_one_is_used() -> None:
    assert set(REASONS) <= set(TEXT)
    named: Counter[str] = Counter()
    for path in FOLDER.rglob("*.py"):
        if path.parent.name != "text":
            tree = ast.parse(path.read_text(encoding="utf-8"))
            named.update(str(each.value) for each in ast.walk(tree) if isinstance(each, ast.Constant) and str(each.value).startswith("reason."))
    del named["reason.status_"]
    assert set(named) == set(REASONS)
    # Once is its own line in the table; those of an HTTP status are made from its number.
    assert {key for key, count in named.items() if count < 2 and "status_4" not in key} == set(), "reasons that nothing gives"


def test_no_error_of_ours_takes_a_bare_string_for_a_reason() -> None:
    """What a sentence takes in as its reason is a text itself: a `Reason`, or the reason of another error."""
    found = []
    for path in FOLDER.rglob("*.py"):
        for each in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(each, ast.Call):
                found += [(path.name, ast.unparse(word.value)) for word in each.keywords if word.arg == "reason"]
    assert len(found) >= 10
    good = re.compile(r"Reason\(.*|reason_of\(.*|_reason\(.*|reason|fault|error\.values\['reason'\]")
    assert [each for each in found if not good.fullmatch(each[1])] == []


def status(code: int) -> HfHubHTTPError:
    return HfHubHTTPError("no", response=httpx.Response(code, request=httpx.Request("GET", "https://hub.test/x")))


@pytest.mark.parametrize(
    ("error", "key"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "reason.disk_full"),
        (PermissionError(errno.EACCES, "Permission denied"), "reason.no_permission"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory"), "reason.file_gone"),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), "reason.dropped"),
        (httpx.ConnectError("[Errno -2] Name or service not known"), "reason.host_unknown"),
        (httpx.ConnectError("[Errno 11001] getaddrinfo failed"), "reason.host_unknown"),
        (httpx.ConnectError("[Errno 111] Connection refused"), "reason.refused"),
        (httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed"), "reason.certificate"),
        (httpx.ConnectTimeout(""), "reason.timed_out"),
        (httpx.ReadTimeout("The read operation timed out"), "reason.timed_out"),
        (httpx.RemoteProtocolError("peer closed connection without sending complete message body"), "reason.dropped"),
        (httpx.ReadError(""), "reason.dropped"),
        *((status(code), f"reason.status_{code}") for code in (401, 403, 404, 429)),
        *((status(code), "reason.status_5xx") for code in (500, 502, 503)),
        (status(418), "reason.unknown"),
        (MemoryError(), "reason.no_memory"),
        (caught(json.loads, "{\n,"), "reason.not_json"),
        (caught(b"\xff".decode), "reason.not_text"),
        (caught(torch.zeros(2, 3).__matmul__, torch.zeros(2, 3)), "reason.wrong_shapes"),
        (caught(torch.cat, [torch.zeros(1, 2, 3), torch.zeros(1, 2, 4)], 1), "reason.wrong_shapes"),
        (caught(torch.nn.Linear(2, 3).load_state_dict, torch.nn.Linear(3, 3).state_dict()), "reason.wrong_shapes"),
        (RuntimeError("the moon is full"), "reason.unknown"),
        (RuntimeError(), "reason.unknown"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_the_usual_causes_are_told_apart(error: Exception, key: str) -> None:
    reason = reason_of(error)
    assert reason.key == key
    assert len(str(reason).splitlines()) == 1 and "{" not in str(reason)


@pytest.mark.parametrize(
    ("content", "key"),
    [
        (b"", "reason.cut_short"),
        (b"\x10\0\0\0\0\0\0\0{}", "reason.cut_short"),
        (b"\x40\0\0\0\0\0\0\0" + b'{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}'.ljust(64) + b"123", "reason.cut_short"),
        (b"\x08\0\0\0\0\0\0\0notjson!", "reason.not_that_format"),
        (b"\xff" * 20, "reason.not_that_format"),
    ],
    ids=["empty", "header", "weights", "json", "length"],
)
def test_what_safetensors_says_is_understood(tmp_path: Path, content: bytes, key: str) -> None:
    assert reason_of(caught(read_weights, written(tmp_path / "weights.safetensors", content))).key == key


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "bmp", "tif", "ppm"])
def test_what_pillow_says_of_half_a_file_is_understood(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"whole.{suffix}"
    Image.effect_noise((60, 40), 80).convert("RGB").save(path)
    half = written(path, path.read_bytes()[: path.stat().st_size // 2])
    assert reason_of(caught(lambda: Image.open(half).load())).key == "reason.cut_short"


def test_an_unknown_error_is_marked_as_a_detail() -> None:
    reason = reason_of(RuntimeError("the moon\nis full " + "x" * 1000))
    assert str(reason).startswith("the cause is not known; technical detail: the moon is full xxx") and len(reason.detail) == 300
    error = ModelError("error.model.offline", repo="a/b", reason=reason)
    assert "(the cause is not known; technical detail: the moon is full" in str(error)
    shown = json.loads(encode(error_payload(error)))["error"]
    assert shown["values"]["reason"] == {"key": "reason.unknown", "values": {}, "detail": reason.detail}
    chinese, english = TEXT["error.detail"]
    assert "技术细节" in chinese and "Technical detail" in english


def test_a_reason_of_ours_has_no_detail() -> None:
    reason = Reason("reason.no_answer", {"seconds": 60})
    assert str(reason) == "no answer within 60 s"
    shown = error_payload(ModelError("error.model.offline", repo="a/b", reason=reason))["error"]["values"]["reason"]
    assert shown == {"key": "reason.no_answer", "values": {"seconds": "60"}, "detail": ""}
