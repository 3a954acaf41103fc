"""Pushing a model to a Hub on this machine: what arrives, what is proved before training, and what each fault ends in."""

from __future__ import annotations

import json
import math
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path, PureWindowsPath
from typing import Any

import pytest
from hub_server import TOKENS, HubServer
from huggingface_hub import HfApi, constants
from safetensors.torch import load_file, save_file

from training.config import make_config
from training.hub import NOTICE, Publisher, files_of, main
from training.publishing import commit as hub_commit
from training.publishing.commit import HubError

MAIN, RAW = (f"unet/diffusion_pytorch_model{variant}.safetensors" for variant in ("", ".raw"))
PUSHED = {"README.md", "model_index.json", "scheduler/scheduler_config.json", "unet/config.json", MAIN, RAW} | {
    "training_config.yaml",
    "evaluation.json",
    "samples.png",
}


# Said of how the client itself sends a weight.
pytestmark = pytest.mark.filterwarnings("ignore:Use .content=:DeprecationWarning")


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_commit, "WAITS", (0.01,) * 3)


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer() as server:
        yield server


@pytest.fixture
def model(copy_of_tiny: Path, tmp_path: Path) -> Path:
    """What a run leaves: the model folder as `save_pipeline` writes it, and beside it what stays here."""
    run = tmp_path / "runs" / "tiny"
    folder = Path(shutil.copytree(copy_of_tiny, run / "model"))
    save_file({name: value + 1 for name, value in load_file(folder / MAIN).items()}, folder / RAW)
    (folder / "README.md").write_text('---\nlicense: mit\n---\n\nDDPMPipeline.from_pretrained("PATH")\n')
    (folder / "training_config.yaml").write_text("dataset: /home/ada/cats\nhub_model_id: alice/tiny\nseed: 3\n")
    (folder / "evaluation.json").write_text("{}")
    (folder / "samples.png").write_bytes(b"\x89PNG" * 20)
    for stray in ("optimizer.safetensors", "notes.txt", "unet/old.bin"):
        (folder / stray).write_bytes(b"stays here")
    (run / "checkpoints").mkdir()
    return folder


def config(model: Path, **options: Any) -> Any:
    return make_config({"push_to_hub": True, "hub_model_id": "alice/tiny", "output_dir": str(model.parent), **options})


def refused(run: Callable[[], object]) -> str:
    """The text of a HubError, which never holds a token."""
    with pytest.raises(HubError) as caught:
        run()
    text = str(caught.value)
    assert not [token for token in TOKENS.values() if token in text] and len(text.splitlines()) == 1
    return text


def titles(hub: HubServer, name: str = "alice/tiny") -> list[str]:
    return [commit.title for commit in hub.repository(name).commits.values()]


def test_a_run_proves_its_right_and_then_pushes_its_model_in_one_commit(hub: HubServer, model: Path) -> None:
    publisher = Publisher(config(model), hub.api())
    assert publisher.prove() == f"{hub.url}/alice/tiny"
    before = hub.repository("alice/tiny").files()
    assert set(before) == {".gitattributes", "README.md"} and b"is being trained" in before["README.md"]
    assert publisher.push(model, "200 images") == f"{hub.url}/alice/tiny"
    files = hub.repository("alice/tiny").files()
    assert set(files) == PUSHED | {".gitattributes"}
    assert titles(hub)[2:] == ["200 images"] and titles(hub)[1].startswith("Training begins (")
    assert all(files[name] == (model / name).read_bytes() for name in PUSHED - {"README.md", "training_config.yaml"})
    assert b'from_pretrained("alice/tiny")' in files["README.md"] and files["training_config.yaml"] == b"dataset: cats\nseed: 3\n"
    assert {json.dumps(entry) for entry in json.loads(files["model_index.json"]).values() if isinstance(entry, list)} == {
        '["diffusers", "DDPMScheduler"]',
        '["diffusers", "UNet2DModel"]',
    }
    stored = [request for request in hub.requests if request.path.startswith("/lfs/")]
    assert len(stored) == 2 and not [request for request in stored if "authorization" in request.headers]


def test_a_second_push_sends_only_what_is_new(hub: HubServer, model: Path) -> None:
    publisher = Publisher(config(model), hub.api())
    publisher.push(model, "first")
    hub.requests.clear()
    (model / "evaluation.json").write_text('{"n": 1}')
    publisher.push(model, "second")
    assert not hub.asked("PUT") and hub.repository("alice/tiny").files()["evaluation.json"] == b'{"n": 1}'
    publisher.push(model, "third")
    assert titles(hub)[1:] == ["first", "second"]


def test_a_model_that_is_there_keeps_its_card_until_the_new_one_replaces_it(hub: HubServer, model: Path) -> None:
    old = {
        "README.md": b"---\nlicense: mit\n---\nold\n",
        "model_index.json": b"{}",
        MAIN: b"old",
        "unet/diffusion_pytorch_model.old.safetensors": b"x",
        "unet/diffusion_pytorch_model.bin": b"x",
        "figure.svg": b"mine",
    }
    hub.add("alice/tiny", old)
    publisher = Publisher(config(model), hub.api())
    publisher.prove()
    files = hub.repository("alice/tiny").files()
    assert files["README.md"] == old["README.md"] and b"will replace this model" in files[NOTICE]
    publisher.prove()
    publisher.push(model, "new")
    assert set(hub.repository("alice/tiny").files()) == PUSHED | {"figure.svg"}


def test_who_may_not_write_learns_it_before_training(hub: HubServer, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add("alice/tiny", {"README.md": b"---\nlicense: mit\n---\n"})
    hub.add("alice/secret", {"README.md": b"---\nlicense: mit\n---\n"}, private=True)
    for token, name, words in (
        ("read", "alice/tiny", "token with the role write"),
        ("other", "alice/tiny", "may not write to 'alice/tiny'"),
        ("other", "alice/new", "may not write to 'alice/new'"),
        ("other", "alice/secret", "may not write to 'alice/secret'"),
        ("wrong", "alice/tiny", "does not know the token"),
        (None, "alice/tiny", "run `hf auth login`, or set HF_TOKEN"),
    ):
        assert words in refused(Publisher(config(model, hub_model_id=name), hub.api(token)).prove)
    assert titles(hub) == ["initial commit", "Add files"] and ("model", "alice/new") not in hub.store.repositories
    hub.fault(path="/api/", status=403, headers={"X-Error-Message": "no right for eyJ.own.token"}, times=math.inf)
    assert "(no right for *** a fault of the server)" in refused(Publisher(config(model), HfApi(endpoint=hub.url, token="eyJ.own.token")).prove)
    for token in ("hf_alice\u200bmaywrite", "\u201chf_alice\u201d", "hf_alice\x0bmaywrite"):
        text = refused(Publisher(config(model), HfApi(endpoint=hub.url, token=token)).prove)
        assert "holds a character that no token has" in text and "maywrite" not in text
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE is set" in refused(lambda: Publisher(config(model), hub.api()).prove())


def test_a_hub_that_is_down_or_never_answers_is_told(hub: HubServer, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = HfApi(endpoint="http://127.0.0.1:9", token=TOKENS["write"])
    assert "http://127.0.0.1:9 cannot be reached" in refused(lambda: Publisher(config(model), nobody).prove())
    monkeypatch.setattr(hub_commit, "TIMEOUT", 0.2)
    hub.fault(path="/api/", silent=True, times=math.inf)
    began = time.monotonic()
    assert "cannot be reached" in refused(lambda: Publisher(config(model), hub.api()).prove())
    hub.heal()
    hub.fault(path="/commit/", silent=True, times=math.inf)
    assert "push it again" in refused(lambda: Publisher(config(model), hub.api()).push(model, "x")).replace("to push", "push")
    assert time.monotonic() - began < 20


def test_a_private_repository_is_private_from_its_first_commit(hub: HubServer, model: Path) -> None:
    Publisher(config(model, hub_private=True), hub.api()).prove()
    assert hub.repository("alice/tiny").private
    hub.add("alice/open", {"a.txt": b"a"})
    assert "is public" in refused(lambda: Publisher(config(model, hub_model_id="alice/open", hub_private=True), hub.api()).prove())
    assert titles(hub, "alice/open") == ["initial commit", "Add files"]


def test_a_branch_is_made_and_main_left_alone(hub: HubServer, model: Path) -> None:
    publisher = Publisher(config(model, hub_revision="feat/long"), hub.api())
    publisher.prove()
    assert publisher.push(model, "on a branch") == f"{hub.url}/alice/tiny/tree/feat/long"
    repository = hub.repository("alice/tiny")
    assert set(repository.files()) == {".gitattributes"} and set(repository.files("feat/long")) >= PUSHED
    assert b'from_pretrained("alice/tiny", revision="feat/long")' in repository.files("feat/long")["README.md"]


def test_one_pull_request_takes_the_proof_the_push_and_what_a_resumed_run_pushes(hub: HubServer, model: Path) -> None:
    hub.add("bob/tiny", {"README.md": b"---\nlicense: mit\n---\n"})
    options = {"hub_model_id": "bob/tiny", "hub_create_pr": True}
    publisher = Publisher(config(model, **options), hub.api())
    address = publisher.prove()
    assert address == f"{hub.url}/bob/tiny/discussions/1" == publisher.push(model, "first")
    resumed = Publisher(config(model, **options), hub.api())
    resumed.prove()
    assert resumed.push(model, "second") == address
    repository = hub.repository("bob/tiny")
    assert set(repository.refs) == {"main", "refs/pr/1"} and set(repository.files("refs/pr/1")) == PUSHED and set(repository.files()) == {"README.md"}


def test_a_pull_request_that_is_open_is_a_revision(hub: HubServer, model: Path) -> None:
    card = b"---\nlicense: mit\n---\n"
    hub.add("alice/tiny", {"a.txt": b"a"})
    hub.api("other").upload_file(path_or_fileobj=card, path_in_repo="README.md", repo_id="alice/tiny", create_pr=True)
    assert Publisher(config(model, hub_revision="refs/pr/1"), hub.api()).push(model, "x") == f"{hub.url}/alice/tiny/tree/refs/pr/1"
    assert set(hub.repository("alice/tiny").files("refs/pr/1")) >= PUSHED and not hub.asked("/branch/")


def test_a_note_of_a_pull_request_that_was_cut_short_stops_no_run(hub: HubServer, model: Path) -> None:
    hub.add("bob/tiny", {"README.md": b"---\nlicense: mit\n---\n"})
    for cut in ("", '{"endpoint": ', "[]", "{}"):
        (model.parent / "hub.json").write_text(cut)
        publisher = Publisher(config(model, hub_model_id="bob/tiny", hub_create_pr=True), hub.api())
        assert publisher.prove() == publisher.push(model, "x")


def test_the_command_is_one_that_windows_reads_too(hub: HubServer, model: Path) -> None:
    publisher = Publisher(config(model), hub.api())
    assert publisher._command(PureWindowsPath("runs\\tiny\\model")).startswith("python -m training.hub --model runs/tiny/model ")


def test_a_commit_that_fails_in_passing_is_made_once(hub: HubServer, model: Path) -> None:
    hub.fault(path="/commit/", status=503, times=2)
    hub.fault(path="/commit/", drop=True)
    Publisher(config(model), hub.api()).push(model, "first")
    publisher = Publisher(config(model), hub.api())
    publisher.prove()
    hub.fault(path="/commit/", drop=True, after=True)  # made, but the answer is lost: nothing is left to be added or removed
    (model / "evaluation.json").write_text('{"n": 2}')
    publisher.push(model, "second")
    assert titles(hub)[1] == "first" and titles(hub)[3:] == ["second"] and len(hub.asked("PUT /lfs/")) == 2


def test_a_push_that_fails_says_how_to_push_again_and_that_sends_only_the_rest(
    hub: HubServer, model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.fault(path="/commit/", status=503, times=math.inf)
    text = refused(lambda: Publisher(config(model), hub.api()).push(model, "first"))
    assert "status 503" in text and f"The model is safe in '{model}'" in text
    assert text.endswith(f"python -m training.hub --model {model} --hub_model_id alice/tiny")
    assert len(hub.asked("POST .*/commit/")) == 4 and len(hub.asked("PUT /lfs/")) == 2
    hub.heal()
    hub.requests.clear()
    hub.become_default(monkeypatch, "write")
    assert main(text.split("training.hub ")[1].split()) == f"{hub.url}/alice/tiny"
    assert set(hub.repository("alice/tiny").files()) >= PUSHED and not hub.asked("PUT /lfs/")
    printed = capsys.readouterr()
    assert not [token for token in TOKENS.values() if token in printed.out + printed.err]


def test_weights_whose_upload_fails_leave_nothing_half_done(hub: HubServer, model: Path) -> None:
    hub.fault(method="PUT", path="/lfs/", status=400, skip=1)  # the first is under way by then: one that is not is left out
    assert "refused with status 400" in refused(lambda: Publisher(config(model), hub.api()).push(model, "first"))
    assert set(hub.repository("alice/tiny").files()) == {".gitattributes"}
    hub.requests.clear()
    Publisher(config(model), hub.api()).push(model, "again")
    assert set(hub.repository("alice/tiny").files()) >= PUSHED and len(hub.asked("PUT /lfs/")) == 1


def test_a_refusal_of_the_weights_by_xet_is_told_at_once(hub: HubServer, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("hf_xet")
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", False)
    hub.fault(path="xet-write-token", status=403, times=math.inf)
    assert "may not write to 'alice/tiny'" in refused(lambda: Publisher(config(model), hub.api()).push(model, "x"))
    assert len(hub.asked("xet-write-token")) == 1


def test_two_commits_at_once_do_not_lose_the_model(hub: HubServer, model: Path) -> None:
    publishers = [Publisher(config(model), hub.api()) for _ in range(2)]
    publishers[0].prove()
    threads = [threading.Thread(target=publisher.push, args=(model, f"push {i}")) for i, publisher in enumerate(publishers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(hub.repository("alice/tiny").files()) >= PUSHED


def test_a_card_that_the_hub_refuses_is_told_before_any_upload(hub: HubServer, model: Path) -> None:
    (model / "README.md").write_text("---\nlicense: my own\n---\n")
    assert '"license" must be one of' in refused(lambda: Publisher(config(model), hub.api()).push(model, "x"))
    assert not hub.asked("PUT /lfs/")


def test_only_a_plain_pipeline_is_pushed(model: Path, edit_json: Callable[..., None]) -> None:
    assert set(files_of(model)) == PUSHED
    edit_json(model / "model_index.json", scheduler=["ddpm_space.scheduler", "NotesDDPMScheduler"])
    assert "only diffusers loads everywhere" in refused(lambda: files_of(model))
    (model / MAIN).rename(model / "unet" / "diffusion_pytorch_model.bin")
    assert "safetensors" in refused(lambda: files_of(model))
    assert "nothing was pushed" in refused(lambda: files_of(model.parent))
    assert "hub_model_id" in refused(lambda: Publisher(make_config({})))
