"""The Hub of the tests does what the client expects of the real one: the whole of push and pull, and refusals by the client's own error types."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hub_server import HubServer
from huggingface_hub import CommitOperationAdd, CommitOperationDelete
from huggingface_hub.errors import EntryNotFoundError, GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError
from huggingface_hub.utils import httpx

WEIGHTS = bytes(range(256)) * 8000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small repository: a card, a configuration and a file for LFS."""
    (tmp_path / "repo" / "unet").mkdir(parents=True)
    (tmp_path / "repo" / "README.md").write_text("---\nlicense: apache-2.0\n---\n# Digits\n")
    (tmp_path / "repo" / "unet" / "config.json").write_text("{}")
    (tmp_path / "repo" / "unet" / "weights.safetensors").write_bytes(WEIGHTS)
    return tmp_path / "repo"


def test_what_is_pushed_comes_back_and_the_storage_sees_no_token(folder: Path, tmp_path: Path) -> None:
    with HubServer() as hub:
        api = hub.api("write")
        assert api.whoami()["name"] == "alice"
        api.create_repo("alice/digits", private=True)
        api.create_repo("alice/digits", exist_ok=True)
        first = api.upload_folder(repo_id="alice/digits", folder_path=folder, commit_message="One commit")
        assert [commit.title for commit in api.list_repo_commits("alice/digits")] == ["One commit", "initial commit"]
        repository = hub.repository("alice/digits")
        assert repository.private and repository.files()["unet/weights.safetensors"] == WEIGHTS
        assert repository.commit().files["unet/weights.safetensors"].lfs and not repository.commit().files["README.md"].lfs
        here = api.snapshot_download("alice/digits", revision=first.oid, local_dir=tmp_path / "back", cache_dir=tmp_path / "cache")
        assert (Path(here) / "unet/weights.safetensors").read_bytes() == WEIGHTS
        storage = [request for request in hub.requests if request.path.startswith("/lfs/")]
        assert {request.method for request in storage} == {"PUT", "GET"} and all("authorization" not in request.headers for request in storage)
        hub.requests.clear()
        api.upload_folder(repo_id="alice/digits", folder_path=folder)
        assert not hub.asked("PUT|/commit/"), "nothing changed"
        info = api.model_info("alice/digits", files_metadata=True)
        assert info.sha == first.oid and {item.rfilename: item.size for item in info.siblings or []}["unet/weights.safetensors"] == len(WEIGHTS)
        assert api.verify_repo_checksums("alice/digits", local_dir=tmp_path / "back").mismatches == []


def test_branches_pull_requests_tags_and_deletions(folder: Path) -> None:
    with HubServer() as hub:
        api, other = hub.api("write"), hub.api("other")
        hub.add("alice/digits", folder)
        api.create_branch("alice/digits", branch="feat/x")
        api.create_branch("alice/digits", branch="feat/x", exist_ok=True)
        api.create_commit("alice/digits", [CommitOperationDelete("unet/")], commit_message="Remove", revision="feat/x")
        assert api.list_repo_files("alice/digits", revision="feat/x") == ["README.md"]
        add = CommitOperationAdd("notes.txt", b"words")
        opened = other.create_commit("alice/digits", [add], commit_message="Notes", create_pr=True)
        assert opened.pr_revision == "refs/pr/1" and "notes.txt" in hub.repository("alice/digits").files("refs/pr/1")
        assert "notes.txt" not in hub.repository("alice/digits").files()
        api.create_tag("alice/digits", tag="v1")
        found = api.list_repo_refs("alice/digits", include_pull_requests=True)
        assert {ref.name for ref in found.branches} == {"main", "feat/x"} and [ref.name for ref in found.tags] == ["v1"]
        assert [ref.name for ref in found.pull_requests or []] == ["refs/pr/1"]
        with pytest.raises(HfHubHTTPError, match="412"):
            api.create_commit("alice/digits", [CommitOperationDelete("README.md")], commit_message="Late", parent_commit="0" * 40)
        api.delete_repo("alice/digits")
        with pytest.raises(RepositoryNotFoundError):
            api.model_info("alice/digits")


def test_who_may_do_what(folder: Path, tmp_path: Path) -> None:
    with HubServer() as hub:
        hub.add("alice/open", folder)
        hub.add("alice/secret", folder, private=True)
        hub.add("alice/gated", folder, gated=True)
        for token in ("read", "other"):
            with pytest.raises(HfHubHTTPError, match="403"):
                hub.api(token).upload_file(path_or_fileobj=b"x", path_in_repo="x.txt", repo_id="alice/open")
        with pytest.raises(HfHubHTTPError, match="Invalid credentials"):
            hub.api("wrong").model_info("alice/open")
        for token in ("other", None):
            with pytest.raises(RepositoryNotFoundError):
                hub.api(token).model_info("alice/secret")
            assert hub.api(token).model_info("alice/gated").id == "alice/gated"
            with pytest.raises(GatedRepoError):
                hub.api(token).hf_hub_download("alice/gated", "README.md", cache_dir=tmp_path)
        hub.repository("alice/gated").allowed.add("bob")
        assert hub.api("other").hf_hub_download("alice/gated", "README.md", cache_dir=tmp_path)
        with pytest.raises(RevisionNotFoundError):
            hub.api().model_info("alice/open", revision="v9")
        with pytest.raises(EntryNotFoundError):
            hub.api().hf_hub_download("alice/open", "missing.txt", cache_dir=tmp_path)


@pytest.mark.parametrize(
    ("kind", "metadata"),
    [("model", "license: nobodys"), ("model", "datasets: mnist"), ("model", "model-index: [{name: a}]"), ("space", "sdk: flask"), ("model", "[")],
)
def test_cards_are_held_to_the_rules(kind: str, metadata: str) -> None:
    with HubServer() as hub:
        api = hub.api()
        api.create_repo("alice/cards", repo_type=kind, space_sdk="gradio" if kind == "space" else None)
        card = f"---\n{metadata}\n---\n".encode()
        with pytest.raises(ValueError, match="Invalid metadata"):
            api.upload_file(path_or_fileobj=card, path_in_repo="README.md", repo_id="alice/cards", repo_type=kind)


def test_spaces_and_their_variables(folder: Path) -> None:
    with HubServer() as hub:
        api = hub.api()
        api.create_repo("alice/page", repo_type="space", space_sdk="gradio")
        (folder / "README.md").write_text("---\nsdk: gradio\nsdk_version: 6.31.0\n---\n")
        api.upload_folder(repo_id="alice/page", repo_type="space", folder_path=folder)
        api.add_space_variable("alice/page", "DDPM_SPACE_MODEL", "alice/digits")
        assert api.get_space_variables("alice/page")["DDPM_SPACE_MODEL"].value == "alice/digits"
        assert hub.repository("alice/page", "space").sdk == "gradio" and api.get_space_runtime("alice/page").stage == "BUILDING"


def test_faults_happen_as_often_as_asked(folder: Path, tmp_path: Path) -> None:
    with HubServer() as hub:
        api = hub.api()
        commit = hub.add("alice/digits", folder)
        hub.fault(path="/api/models/alice/digits", status=503, times=2)
        for _ in range(2):
            with pytest.raises(HfHubHTTPError, match="503"):
                api.model_info("alice/digits")
        assert api.model_info("alice/digits").sha == commit
        hub.fault(path="/commit/", drop=True, after=True)
        with pytest.raises(httpx.HTTPError):
            api.upload_file(path_or_fileobj=b"x", path_in_repo="x.txt", repo_id="alice/digits")
        assert "x.txt" in hub.repository("alice/digits").files(), "done, and the answer lost"
        hub.fault(path="/lfs/", corrupt=True)
        path = api.hf_hub_download("alice/digits", "unet/weights.safetensors", cache_dir=tmp_path)
        found = Path(path).read_bytes()
        assert len(found) == len(WEIGHTS) and found != WEIGHTS
        hub.fault(path="/revision/", silent=True, times=math.inf)
        with pytest.raises(httpx.TimeoutException):
            api.model_info("alice/digits", revision="main", timeout=0.2)
        hub.heal()
        assert api.model_info("alice/digits", revision="main").id == "alice/digits"
    with pytest.raises(httpx.ConnectError):
        api.model_info("alice/digits")
