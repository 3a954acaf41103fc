"""Publishing the page as a Space: which files go, that nothing else does, and what is refused."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import hub_cards
import pytest
from hub_server import TOKENS, HubServer

from training.publishing import commit as hub_commit
from training.publishing.commit import HubError
from training.push_space import LINK, ROOT, main, push_space, space_files


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    monkeypatch.setattr(hub_commit, "WAITS", (0.01,))
    with HubServer() as server:
        yield server


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The repository in small: a file of each kind that goes, and of each that stays."""
    root = tmp_path / "clone"
    for name in (
        "app.py",
        "requirements.txt",
        "pre-requirements.txt",
        "requirements-zerogpu.txt",
        "LICENSE",
        "ddpm_space/ui/page.py",
        "ddpm_space/assets/models/m/w.safetensors",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    for name in (".env", "training/train.py", "tests/test_x.py", "runs/a/model.bin", "ddpm_space/__pycache__/page.pyc", "ddpm_space/.cache/x"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("stays")
    for name in ("ddpm_space/assets/data/train.parquet", "ddpm_space/assets/classifiers/mnist.safetensors", "docs/other.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("stays")
    (root / "docs" / "page.png").write_text("a picture")
    links = "![The page](docs/page.png) [training](training/train.py#main) [diffusers](https://github.com/huggingface/diffusers) [app](app.py)"
    shutil.copy(ROOT / "README.md", root / "README.md")
    text = (root / "README.md").read_text(encoding="utf-8")
    (root / "README.md").write_text(text[: text.index("---", 4) + 4] + links + "\n", encoding="utf-8")
    return root


SENT = {"README.md", "app.py", "requirements.txt", "pre-requirements.txt", "LICENSE", "docs/page.png"} | {
    "ddpm_space/ui/page.py",
    "ddpm_space/assets/models/m/w.safetensors",
}


def test_the_page_is_sent_and_nothing_else_and_no_link_leads_nowhere(hub: HubServer, clone: Path) -> None:
    assert push_space("alice/page", api=hub.api(), root=clone) == f"{hub.url}/spaces/alice/page"
    files = hub.repository("alice/page", "space").files()
    assert set(files) == SENT | {".gitattributes"}
    assert b"![The page](docs/page.png) training [diffusers](https://github.com/huggingface/diffusers) [app](app.py)" in files["README.md"]
    assert hub.repository("alice/page", "space").sdk == "gradio" and not hub.repository("alice/page", "space").variables


def test_this_repository_as_a_space_has_a_card_that_the_hub_accepts_and_holds_what_it_needs() -> None:
    files = space_files()
    readme = files["README.md"].decode()
    assert hub_cards.problems(readme, "space") == ([], [])
    assert not [target for _, _, target in LINK.findall(readme) if target not in files]
    assert {"app.py", "ddpm_space/assets/models/mnist/unet/diffusion_pytorch_model.safetensors", "ddpm_space/ui/static/app.js"} <= set(files)
    assert {name.split("/")[0] for name in files} <= {
        "README.md",
        "app.py",
        "requirements.txt",
        "pre-requirements.txt",
        "LICENSE",
        "ddpm_space",
        "docs",
    }
    assert sum(map(len, files.values())) < 12_000_000, "two models of 4.5 MB, a classifier, fonts, pictures: what else has come along?"


def test_a_space_on_zero_gpu_gets_its_own_requirements_and_python(hub: HubServer, clone: Path) -> None:
    push_space("alice/page", api=hub.api(), root=clone)
    push_space("alice/page", zero_gpu=True, api=hub.api(), root=clone)
    files = hub.repository("alice/page", "space").files()
    assert set(files) == SENT - {"pre-requirements.txt"} | {".gitattributes"} and files["requirements.txt"] == b"requirements-zerogpu.txt"
    card = files["README.md"].decode()
    assert '\npython_version: "3.12.12"\n' in card and "\nsuggested_hardware: zero-a10g\n" in card and hub_cards.problems(card, "space") == ([], [])
    push_space("alice/page", api=hub.api(), root=clone)
    files = hub.repository("alice/page", "space").files()
    assert set(files) == SENT | {".gitattributes"} and b'\npython_version: "3.12"\n' in files["README.md"]


def test_a_second_push_sends_what_changed_and_removes_what_is_gone(hub: HubServer, clone: Path) -> None:
    push_space("alice/page", api=hub.api(), root=clone)
    (clone / "ddpm_space" / "ui" / "page.py").rename(clone / "ddpm_space" / "ui" / "tab.py")
    hub.requests.clear()
    push_space("alice/page", api=hub.api(), root=clone)
    assert set(hub.repository("alice/page", "space").files()) == SENT - {"ddpm_space/ui/page.py"} | {"ddpm_space/ui/tab.py", ".gitattributes"}
    assert not hub.asked("PUT /lfs/")
    push_space("alice/page", api=hub.api(), root=clone)
    assert len(hub.repository("alice/page", "space").commits) == 3


def test_a_space_serves_the_model_that_it_is_given(hub: HubServer, clone: Path, tiny_pipeline: Path, capsys: pytest.CaptureFixture[str]) -> None:
    revision = hub.add("alice/digits", tiny_pipeline, private=True)
    push_space("alice/page", model=f"alice/digits@{revision}", private=True, api=hub.api(), root=clone)
    space = hub.repository("alice/page", "space")
    assert space.private and space.variables["DDPM_SPACE_MODEL"]["value"] == f"alice/digits@{revision}"
    assert "give the Space a secret HF_TOKEN" in capsys.readouterr().err
    with pytest.raises(HubError, match="shows no 'alice/lost'"):
        push_space("alice/other", model="alice/lost", api=hub.api(), root=clone)
    hub.add("google/ddpm", {"model_index.json": b"{}", "diffusion_pytorch_model.bin": b"x"})
    with pytest.raises(HubError, match=r"could not serve it: .* only as pickle files"):
        push_space("alice/other", model="google/ddpm", api=hub.api(), root=clone)
    with pytest.raises(HubError, match="no pull request can propose"):
        push_space("alice/page", model="alice/digits", create_pr=True, api=hub.api(), root=clone)
    assert ("space", "alice/other") not in hub.store.repositories
    hub.add("alice/digits", tiny_pipeline, gated=True)
    push_space("alice/page", model="alice/digits", private=True, api=hub.api(), root=clone)
    assert "'alice/digits' is gated: give the Space a secret" in capsys.readouterr().err


def test_a_pull_request_leaves_the_space_as_it_is(hub: HubServer, clone: Path) -> None:
    hub.add("bob/page", {"README.md": b"---\nsdk: gradio\nsdk_version: 6.31.0\n---\n", "ddpm_space/old.py": b"old"}, kind="space")
    assert push_space("bob/page", create_pr=True, api=hub.api(), root=clone) == f"{hub.url}/spaces/bob/page/discussions/1"
    repository = hub.repository("bob/page", "space")
    assert set(repository.files()) == {"README.md", "ddpm_space/old.py"} and set(repository.files("refs/pr/1")) == SENT


def test_what_cannot_be_published_is_told_without_a_token(hub: HubServer, clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add("alice/page", {"README.md": b"---\nsdk: gradio\nsdk_version: 6.31.0\n---\n"}, kind="space")
    told = []
    for token, name in (("read", "alice/page"), ("other", "alice/page"), ("wrong", "alice/page"), (None, "alice/page"), ("write", "page")):
        with pytest.raises(HubError) as caught:
            push_space(name, api=hub.api(token), root=clone)
        told.append(str(caught.value))
    assert "may not write" in told[0] and "may not write" in told[1] and "does not know" in told[2] and "hf auth login" in told[3]
    assert "user/name" in told[4] and not [token for token in TOKENS.values() if token in "".join(told)]
    (clone / "app.py").unlink()
    with pytest.raises(HubError, match=r"has no app\.py"):
        push_space("alice/page", api=hub.api(), root=clone)


def test_the_command_line_lists_what_would_be_sent_and_sends_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--repo_id", "alice/page", "--list"])
    names = {line.split()[-1] for line in capsys.readouterr().out.splitlines()}
    assert names == set(space_files())
