"""The Hub as a process of its own meets it: a mirror by HF_ENDPOINT, the token by HF_TOKEN, work offline, and a data set by its id."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

from hub_server import TOKENS, HubServer
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent

LOCATE = """
import sys
from ddpm_space.models import ModelError, locate
for source in sys.argv[1:]:
    try:
        folder, commit = locate(source)
        print("found", commit, folder)
    except ModelError as error:
        print(error.key, error)
"""

IMAGES = """
import torch
from training.data import DataError, load_images
images = load_images("alice/gray", size=8, split="train")
batch = images.batch(torch.arange(6))
print(images.name, tuple(batch.shape), images.labels.tolist(), [round(float(image.mean()), 2) for image in batch])
try:
    load_images("alice/nothing", size=8)
except DataError as error:
    print("refused:", error)
"""


def python(script: str, *arguments: str, environment: dict[str, str]) -> tuple[list[str], str]:
    """Run a script in the checkout; returns the lines it printed and what it said beside."""
    done = subprocess.run([sys.executable, "-c", script, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines(), done.stderr


def test_a_mirror_with_a_token_and_then_no_network(tiny_pipeline: Path, tmp_path: Path) -> None:
    with HubServer() as hub:
        secret = hub.add("alice/secret", tiny_pipeline, private=True)
        environment = hub.environment(tmp_path / "home", "read")
        lines, said = python(LOCATE, "alice/secret", environment=environment)
        assert lines == [f"found {secret} {lines[0].split()[2]}"] and str(tmp_path / "home") in lines[0]
        assert {request.user.name for request in hub.requests if request.user} == {"alice"}
        hub.requests.clear()
        lines, said = python(LOCATE, "alice/secret", f"alice/secret@{secret}", "alice/other", environment={**environment, "HF_HUB_OFFLINE": "1"})
        assert hub.asked() == []
        assert [line.split()[:2] for line in lines[:2]] == [["found", secret]] * 2
        assert "the copy on this machine" in said and said.count("the copy on this machine") == 1
        assert lines[2].startswith("error.model.offline") and "HF_HUB_OFFLINE" in lines[2]
        assert TOKENS["read"] not in said + "".join(lines)


def test_a_data_set_by_its_id(tmp_path: Path) -> None:
    files = {}
    for i, value in enumerate((0, 51, 102, 153, 204, 255)):
        content = io.BytesIO()
        Image.new("L", (8, 8), value).save(content, "PNG")
        files[f"train/{'even' if i % 2 == 0 else 'odd'}/{i}.png"] = content.getvalue()
    with HubServer() as hub:
        hub.add("alice/gray", files, kind="dataset", private=True)
        lines, _ = python(IMAGES, environment=hub.environment(tmp_path / "home", "read"))
    assert lines[0] == "alice/gray (6, 1, 8, 8) [0, 0, 0, 1, 1, 1] [-1.0, -0.2, 0.6, -0.6, 0.2, 1.0]"
    assert lines[1].startswith("refused:") and "alice/nothing" in lines[1]
