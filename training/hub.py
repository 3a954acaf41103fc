"""Put a trained model on the Hugging Face Hub, and prove before training that this will work.

    accelerate launch training/train.py --config mnist --push_to_hub --hub_model_id user/name          # while training
    python -m training.hub --model runs/mnist/model --hub_model_id user/name                           # a finished model, or a push that failed

The token comes from HF_TOKEN or `hf auth login`, never from an option; HF_ENDPOINT names a mirror. A repository receives a plain `DDPMPipeline`: the
averaged weights as the main ones, the others as the variant "raw", the card, the options, the evaluation and a sample grid; no optimizer state.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from fnmatch import fnmatch
from pathlib import Path

if not __package__:  # started as a file: Python then looks for modules beside this file first, where `data` would hide other packages
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

from ddpm_space import analytic
from ddpm_space.pipeline_folder import ModelError, read_folder
from training.config import ConfigError, TrainConfig
from training.publishing.card import for_hub, planned_card, shareable
from training.publishing.commit import HubError, Operation, commit, explained, ready_to_write

PUSHED = (
    "README.md",
    "model_index.json",
    "training_config.yaml",
    "evaluation.json",
    "samples.png",
    "scheduler/scheduler_config.json",
    f"scheduler/{analytic.FILE}",
    "unet/config.json",
    "unet/diffusion_pytorch_model*.safetensors",
    "unet/diffusion_pytorch_model*.safetensors.index*.json",
)
"""The files of a model folder that belong on the Hub: nothing else is sent, and what a repository has of these and the folder lacks is removed."""

PICKLED = "unet/diffusion_pytorch_model*.bin"
"""The weights of an older model in another form, which go with it: a reader that prefers them would see the old model."""

NOTICE = "TRAINING.md"
"""Says in a repository which holds a model already that a run which will replace it has begun."""

MEMORY = "hub.json"
"""In the run's folder: the pull request that its pushes go to."""


class Publisher:
    """Where a run's model goes.

    Args:
        config: its hub_model_id, hub_private, hub_revision, hub_create_pr, and output_dir.
        api: how the Hub is reached; by default what HF_ENDPOINT and the token of this machine say.
    """

    def __init__(self, config: TrainConfig, api: HfApi | None = None) -> None:
        if not config.hub_model_id:
            raise HubError("hub_model_id is missing: say where the model goes with --hub_model_id user/name")
        self.config, self.api, self.repo_id = config, api or HfApi(), config.hub_model_id
        self.memory = Path(config.output_dir) / MEMORY
        self.ready = False

    def prove(self) -> str:
        """Make the repository and a first commit in it, before anything is trained: only a commit proves that the last one will be taken.

        Returns:
            the address of the repository, or of the pull request.
        Raises:
            HubError: no token, not allowed to write, not reachable, public though a private one is wanted.
        """
        started = f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M:%S} UTC"
        card = planned_card(self.config, started)
        notice = f"A run of the ddpm_space trainer that will replace this model began {started}. Until it ends, the model is the one before.\n"
        fix = f"Or, if its pull request is closed: remove '{self.memory}', for a new one." if self._remembered() else ""
        with explained(self.api, self.repo_id, fix):
            self._prepare()
            trained = self.api.file_exists(self.repo_id, "model_index.json", revision=self._target())
            return self._commit({NOTICE: notice.encode()} if trained else {"README.md": card.encode()}, f"Training begins ({started})")

    def push(self, model_folder: Path, message: str) -> str:
        """Send a finished model in one commit; what the Hub has already is not sent again.

        Args:
            model_folder: what `save_pipeline` wrote; message: of the commit.
        Returns:
            the address of the repository, or of the pull request.
        Raises:
            HubError: not a model that may be pushed, or the Hub did not take it; says how to push again. The folder is left as it is.
        """
        files = files_of(model_folder)
        with explained(self.api, self.repo_id, f"The model is safe in '{model_folder}'; to push it again: {self._command(model_folder)}"):
            self._prepare()
            return self._commit({**files, **self._rewritten(files)}, message, replace=True)

    def _prepare(self) -> None:
        """Make the repository and the branch where they are missing; the first call alone asks."""
        if self.ready:
            return
        ready_to_write(self.api, self.repo_id, private=self.config.hub_private)
        if self.config.hub_revision and not self.config.hub_create_pr and not self.config.hub_revision.startswith("refs/"):
            self.api.create_branch(self.repo_id, branch=self.config.hub_revision, exist_ok=True)
        self.ready = True

    def _remembered(self) -> dict[str, str]:
        """The pull request that this run has opened: its revision and url; empty if there is none."""
        if not self.config.hub_create_pr or not self.memory.is_file():
            return {}
        try:
            known = json.loads(self.memory.read_text(encoding="utf-8"))
            return known if (known["endpoint"], known["repo_id"]) == (self.api.endpoint, self.repo_id) else {}
        except (ValueError, KeyError, TypeError):  # cut short by a kill or a full disk
            return {}

    def _target(self) -> str | None:
        """The branch or pull request that commits go to."""
        return self._remembered().get("revision", self.config.hub_revision)

    def _commit(self, files: dict[str, Path | bytes], message: str, *, replace: bool = False) -> str:
        """Add files in one commit; with `replace`, what the repository has of a model besides goes in the same one."""
        target = self._target()
        opens = self.config.hub_create_pr and not self._remembered()

        def operations() -> list[Operation]:
            added = [CommitOperationAdd(name, str(source) if isinstance(source, Path) else source) for name, source in files.items()]
            # Asked at each attempt: one whose answer was lost may have removed them.
            there = self.api.list_repo_files(self.repo_id, revision=target) if replace else []
            gone = [name for name in there if name not in files and (name == NOTICE or _belongs(name) or fnmatch(name, PICKLED))]
            return [*added, *map(CommitOperationDelete, gone)]

        info = commit(self.api, self.repo_id, operations, message, revision=target, create_pr=opens)
        if opens and info.pr_revision:
            self.memory.parent.mkdir(parents=True, exist_ok=True)
            known = {"endpoint": self.api.endpoint, "repo_id": self.repo_id, "revision": info.pr_revision, "url": info.pr_url}
            self.memory.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
        return self._remembered().get("url") or f"{self.api.endpoint}/{self.repo_id}" + (f"/tree/{target}" if target else "")

    def _rewritten(self, files: dict[str, Path | bytes]) -> dict[str, bytes]:
        """What reads differently on the Hub: the card names the repository, the options name no folders of this machine."""
        changed = {}
        for name, change in (("README.md", lambda text: for_hub(text, self.repo_id, self.config.hub_revision)), ("training_config.yaml", shareable)):
            source = files.get(name)
            if isinstance(source, Path):
                changed[name] = change(source.read_text(encoding="utf-8")).encode()
        return changed

    def _command(self, model_folder: Path) -> str:
        config = self.config
        # With slashes: backslashes would come in quotes that the shell of Windows does not read.
        options = ["--model", model_folder.as_posix(), "--hub_model_id", self.repo_id]
        options += ["--hub_private"] * config.hub_private + ["--hub_create_pr"] * config.hub_create_pr
        options += ["--hub_revision", config.hub_revision] if config.hub_revision else []
        return shlex.join(["python", "-m", "training.hub", *options])


def files_of(model_folder: Path) -> dict[str, Path | bytes]:
    """The files of a model folder that are pushed, by their names in the repository.

    Raises:
        HubError: not a plain diffusers pipeline with safetensors weights.
    """
    try:
        read_folder(model_folder, str(model_folder))
    except ModelError as error:
        raise HubError(f"nothing was pushed: {error}") from error
    index = json.loads((model_folder / "model_index.json").read_text(encoding="utf-8"))
    libraries = {entry[0] for entry in index.values() if isinstance(entry, list)}
    if libraries != {"diffusers"}:
        raise HubError(
            f"nothing was pushed: model_index.json of '{model_folder}' names {', '.join(sorted(libraries))}; only diffusers loads everywhere"
        )
    found = sorted(path for path in model_folder.rglob("*") if path.is_file())
    return {name: path for path in found if _belongs(name := path.relative_to(model_folder).as_posix())}


def _belongs(name: str) -> bool:
    return any(fnmatch(name, pattern) and name.count("/") == pattern.count("/") for pattern in PUSHED)


def main(arguments: Sequence[str] | None = None) -> str:
    """Push a model folder; returns the address."""
    parser = argparse.ArgumentParser(prog="python -m training.hub", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="the folder that training wrote, such as runs/mnist/model")
    parser.add_argument("--hub_model_id", required=True, help="where to: user/name")
    parser.add_argument("--hub_private", action="store_true", help="make the repository private")
    parser.add_argument("--hub_revision", help="branch to push to; made where there is none")
    parser.add_argument("--hub_create_pr", action="store_true", help="open a pull request instead of writing to the branch")
    parser.add_argument("--message", default="Push a model of ddpm_space", help="of the commit")
    given = parser.parse_args(arguments)
    config = TrainConfig(
        output_dir=str(given.model.parent),
        push_to_hub=True,
        hub_model_id=given.hub_model_id,
        hub_private=given.hub_private,
        hub_revision=given.hub_revision,
        hub_create_pr=given.hub_create_pr,
    )
    return Publisher(config).push(given.model, given.message)


if __name__ == "__main__":
    try:
        print(f"The model is at {main()}")
    except (HubError, ConfigError) as error:
        sys.exit(f"hub.py: {error}")
