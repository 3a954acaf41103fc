"""Publish the page as a Space on the Hugging Face Hub.

    python -m training.push_space --repo_id user/ddpm                               # with the bundled model
    python -m training.push_space --repo_id user/ddpm --model user/model@revision   # with a model of the Hub
    python -m training.push_space --repo_id user/ddpm --zero_gpu                    # for a Space on ZeroGPU
    python -m training.push_space --repo_id user/ddpm --list                        # what would be sent

The token comes from HF_TOKEN or `hf auth login`; HF_ENDPOINT names a mirror. The Hub then builds the Space from requirements.txt.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

if not __package__:  # started as a file: Python then looks for modules beside this file first, where `data` would hide other packages
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

from ddpm_space.pipeline_folder import ModelError, check_names
from training.publishing.commit import HubError, Operation, commit, explained, ready_to_write

ROOT = Path(__file__).resolve().parents[1]
AT_THE_TOP = ("README.md", "app.py", "requirements.txt", "pre-requirements.txt", "LICENSE")
PACKAGE = "ddpm_space"
NOT_SHOWN = (f"{PACKAGE}/assets/data/", f"{PACKAGE}/assets/classifiers/")
"""Parts of the package that only the training scripts read."""

LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)#:]+)(?:#[^)]*)?\)")
VARIABLE = "DDPM_SPACE_MODEL"

ZERO_GPU_REQUIREMENTS = "requirements-zerogpu.txt"
ZERO_GPU_FRONT_MATTER = {"python_version": '"3.12.12"', "suggested_hardware": "zero-a10g"}
"""The Python that ZeroGPU offers, and its name among the Hub's kinds of hardware."""


def space_files(root: Path = ROOT, *, zero_gpu: bool = False) -> dict[str, bytes]:
    """What a Space consists of, by its names there: the page, the package, and the pictures that the README shows.

    Args:
        zero_gpu: with the requirements and the Python of ZeroGPU.
    Raises:
        HubError: a file that it needs is not there.
    """
    missing = [name for name in (*AT_THE_TOP, ZERO_GPU_REQUIREMENTS) if not (root / name).is_file()]
    if missing:
        raise HubError(f"'{root}' has no {missing[0]}: run this from a clone of the repository, whole")
    paths = [root / name for name in AT_THE_TOP] + sorted(path for path in (root / PACKAGE).rglob("*") if path.is_file())
    names = {path.relative_to(root).as_posix(): path for path in paths}
    files = {name: path.read_bytes() for name, path in names.items() if _is_shown(name)}
    readme = files["README.md"].decode()
    for mark, _, target in LINK.findall(readme):
        if mark and (root / target).is_file():
            files[target] = (root / target).read_bytes()
    # A link to what is not sent would lead nowhere: its words stay.
    readme = LINK.sub(lambda link: link[0] if link[3] in files else link[2], readme)
    if zero_gpu:
        del files["pre-requirements.txt"]  # it asks for torch without CUDA
        files["requirements.txt"] = (root / ZERO_GPU_REQUIREMENTS).read_bytes()
        for name, value in ZERO_GPU_FRONT_MATTER.items():
            readme = re.sub(f"^{name}: .*$", f"{name}: {value}", readme, count=1, flags=re.MULTILINE)
    files["README.md"] = readme.encode()
    return files


def _is_shown(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return not name.startswith(NOT_SHOWN) and "__pycache__" not in parts and not any(part.startswith(".") for part in parts)


def push_space(
    repo_id: str,
    *,
    model: str | None = None,
    private: bool = False,
    create_pr: bool = False,
    zero_gpu: bool = False,
    api: HfApi | None = None,
    root: Path = ROOT,
) -> str:
    """Make the Space if there is none, and send it what is new, in one commit; files that do not belong to it any more go.

    Args:
        repo_id: "user/name"; model: a Hub id with an optional @revision that the Space serves (in its variable DDPM_SPACE_MODEL), None: as it is.
        private: a new Space is private; create_pr: propose the change instead of making it.
        zero_gpu: send what ZeroGPU needs; the hardware itself is chosen in the Space's settings.
        api: how the Hub is reached; by default what HF_ENDPOINT and the token of this machine say.
    Returns:
        the Space's address, or the pull request's.
    Raises:
        HubError: no token, not allowed to write, no such model, or none that the page can serve, not reachable.
    """
    if model and create_pr:
        raise HubError("--model sets a variable of the Space, at once, which no pull request can propose: leave out --model or --create_pr")
    api, files = api or HfApi(), space_files(root, zero_gpu=zero_gpu)
    if model:
        name, _, revision = model.partition("@")
        with explained(api, name):
            served = api.model_info(name, revision=revision or None)
        try:
            check_names({sibling.rfilename for sibling in served.siblings or ()}, model)
        except ModelError as error:
            raise HubError(f"the Space could not serve it: {error}") from error
        if served.private or served.gated:
            kind = "private" if served.private else "gated"
            print(f"'{name}' is {kind}: give the Space a secret HF_TOKEN with a token that may read it, in its settings.", file=sys.stderr)
    with explained(api, repo_id):
        ready_to_write(api, repo_id, private=private, repo_type="space")

        def operations() -> list[Operation]:
            # Asked at each attempt: one whose answer was lost may have removed them.
            there = api.list_repo_files(repo_id, repo_type="space")
            stale = [name for name in there if name not in files and name.startswith((f"{PACKAGE}/", "docs/", "pre-requirements.txt"))]
            return [*(CommitOperationAdd(name, content) for name, content in files.items()), *(CommitOperationDelete(name) for name in stale)]

        info = commit(api, repo_id, operations, "Publish ddpm_space", repo_type="space", create_pr=create_pr)
        if model:
            api.add_space_variable(repo_id, VARIABLE, model, description="The model that the page shows")
    return info.pr_url or f"{api.endpoint}/spaces/{repo_id}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Publish, or list what would be."""
    parser = argparse.ArgumentParser(prog="python -m training.push_space", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repo_id", required=True, help="where to: user/name")
    parser.add_argument("--model", help="the model on the Hub that it shows, user/name[@revision] (default: the bundled one)")
    parser.add_argument("--private", action="store_true", help="make the Space private")
    parser.add_argument("--create_pr", action="store_true", help="open a pull request instead of writing to main")
    parser.add_argument("--zero_gpu", action="store_true", help="send the requirements and the Python that a Space on ZeroGPU needs")
    parser.add_argument("--list", action="store_true", help="only list the files that would be sent")
    given = parser.parse_args(arguments)
    if given.list:
        for name, content in sorted(space_files(zero_gpu=given.zero_gpu).items()):
            print(f"{len(content):>10,}  {name}")
        return
    chosen = {"model": given.model, "private": given.private, "create_pr": given.create_pr, "zero_gpu": given.zero_gpu}
    print(f"The Space is at {push_space(given.repo_id, **chosen)}")


if __name__ == "__main__":
    try:
        main()
    except HubError as error:
        sys.exit(f"push_space.py: {error}")
