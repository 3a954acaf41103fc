"""Going on with a run: which checkpoint, and with which options it may go on."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from training.config import ConfigError, TrainConfig
from training.loop.checkpoint import PROGRESS, Checkpoint, Damaged, by_images, checkpoints, folder_name, read_checkpoint
from training.loop.folders import removed_folder

HELD_OUT = ("eval_split", "eval_images", "eval_terms")
"""Options that decide which images the held-out figures are of: figures from before a change are not compared with those after it."""

TAKEN_OUT = ("eval_split", "eval_images")
"""Those which decide what is left to train on. The pictures of a stream are not counted, so there they may not change."""

FREE = (
    *("output_dir", "resume", "dry_run", "log_every", "checkpoint_every", "keep_checkpoints", "trackers", "tracker_project", "memory_limit_gb"),
    "skip_broken",  # what could be read so far was read the same; the number of pictures is looked at by itself
    *("sample_every", "sample_images", "sample_steps", "eval_every", "eval_samples", "eval_steps", "features"),
    *HELD_OUT,  # as long as the training images stay the same, which are counted
    *("push_to_hub", "hub_model_id", "hub_private", "hub_revision", "hub_create_pr"),
    *("batch_size", "gradient_accumulation_steps"),  # as long as the images of a step stay the same, which is looked at by itself
)
"""Options that may change without a word: no weight depends on them."""

ASIDE = "superseded-"
"""Before the name of a checkpoint that the run did not go on from."""

OTHER_BITS = (
    *("train_images", "learning_rate", "lr_schedule", "lr_warmup_steps", "adam_beta1", "adam_beta2", "weight_decay", "max_grad_norm", "ema_decay"),
    *("min_snr_gamma", "vlb_weight", "dropout", "mixed_precision", "cpu_threads", "channels_last", "compile", "dataset", "dataset_revision"),
)
"""Options that may change, but the weights are then not those of a run that was never stopped (a data set may have moved): said when it happens."""


def choose_checkpoint(run: Path, wanted: str | None, say: Callable[[str], None]) -> Checkpoint | None:
    """Read the checkpoint to go on from: the newest undamaged one of a run for "latest", else the folder that was named.

    Args:
        run: output folder; wanted: "latest", a folder, or None for a new run; say: receives what a person should know.
    Returns:
        None where a run begins: also for "latest" in a folder without checkpoints, so that a pre-empted job is always started by one command.
    Raises:
        ConfigError: a new run where another one's checkpoints are, no such checkpoint, or none that is whole.
    """
    found = checkpoints(run)
    if wanted is None:
        if found:
            raise ConfigError(
                f"output_dir: '{run}' holds the checkpoints of another run, which a new one would mix with and remove: go on with it by "
                "--resume latest, or set another output_dir"
            )
        return None
    if wanted != "latest":
        if not (Path(wanted) / PROGRESS).is_file():
            raise ConfigError(f"resume: '{wanted}' is no checkpoint ({PROGRESS} is missing): give a folder checkpoints/images-..., or 'latest'")
        if found and Path(wanted).resolve().parent != (run / "checkpoints").resolve():
            raise ConfigError(
                f"output_dir: '{run}' holds checkpoints of its own, which those of a run that goes on from '{wanted}' would mix with: "
                "set another output_dir"
            )
        return read_checkpoint(Path(wanted))
    if not found:
        say(f"resume = latest: there is no checkpoint under '{run / 'checkpoints'}' yet, so the run starts from its beginning")
        return None
    for folder in reversed(found):
        try:
            return read_checkpoint(folder)
        except Damaged as error:
            say(f"{str(error).rsplit(':', 1)[0]}: taking the one before it")
    raise ConfigError(
        f"resume = latest: none of the {len(found)} checkpoints under '{run / 'checkpoints'}' can be read: start anew in another output_dir"
    )


def set_aside(run: Path, images: int, say: Callable[[str], None]) -> None:
    """Rename the checkpoints that lie after the one a run goes on from: of a part that is now done anew, or damaged.

    By their names they would be the newest: "latest" would take them, and what this run saves would be removed as older.
    """
    parent = run / "checkpoints"
    for folder in checkpoints(run):
        if by_images(folder.name) > by_images(folder_name(images)):
            aside = parent / f"{ASIDE}{folder.name}"
            removed_folder(aside)
            os.replace(folder, aside)
            say(f"'{folder.name}' lies after the checkpoint that the run goes on from: it is now called '{aside.name}', and not needed any more")


def check_options(saved: dict[str, Any], config: TrainConfig, say: Callable[[str], None]) -> None:
    """Compare the options of a checkpoint's run with this run's.

    Args:
        saved: as in the checkpoint; config: of this run; say: receives a sentence where the weights will differ from an uninterrupted run's.
    Raises:
        ConfigError: an option that makes it another run.
    """
    now = plain(config)
    saved = {**plain(TrainConfig()), **saved}  # what was no option yet was as it is by default
    free = [name for name in FREE if not (config.streaming and name in TAKEN_OUT)]
    changed = {name: (saved[name], value) for name, value in now.items() if saved[name] != value and name not in free}
    refused = {name: pair for name, pair in changed.items() if name not in OTHER_BITS}
    if refused:
        raise ConfigError(
            f"resume: {_listed(refused)}: that would be another run. Resume with the options it had, or start one with --init_from and its model"
        )
    if changed:
        say(f"resumed with {_listed(changed)}: allowed, but the weights will not be those of a run that was never stopped")


def check_progress(
    checkpoint: Checkpoint,
    *,
    images_a_step: int,
    steps: int,
    data_size: int | None,
    threads: int,
    processes: int,
    batch_size: int,
    say: Callable[[str], None],
) -> None:
    """Compare what a checkpoint's run was made of with what this one is.

    Args:
        images_a_step: the global batch; steps: of this run in all; data_size: training images, None for a stream; threads: of a CPU process.
        processes, batch_size: how the images of a step are shared out.
    Raises:
        ConfigError: another global batch, other data, or a run that is past its end.
    """
    progress = checkpoint.progress
    if progress["images_a_step"] != images_a_step:
        raise ConfigError(
            f"the checkpoint was made with {progress['images_a_step']} images a step, this run has {images_a_step}: use the same product of "
            "batch_size, gradient_accumulation_steps and number of processes"
        )
    if progress["data_size"] != data_size:
        raise ConfigError(f"the checkpoint's run had {progress['data_size']} training images, this one has {data_size}: give the same data set")
    if progress["step"] > steps:
        raise ConfigError(f"the checkpoint has seen {progress['images']:,} images, train_images is only {steps * images_a_step:,}: raise it to go on")
    if progress["threads"] != threads:
        say(f"resumed with {threads} threads instead of {progress['threads']}: sums are rounded in another order, and the last bits will differ")
    before = (progress.get("processes", processes), progress["options"]["batch_size"])
    if before != (processes, batch_size):
        say(
            f"resumed with {processes} process(es) of {batch_size} images instead of {before[0]} of {before[1]}: sums are rounded in another order, "
            "dropout leaves out others, and the last bits will differ"
        )


def same_held_out(saved: dict[str, Any], config: TrainConfig) -> bool:
    """Whether a checkpoint's run was judged on the same images with as many terms."""
    return all(saved.get(name) == getattr(config, name) for name in HELD_OUT)


def plain(config: TrainConfig) -> dict[str, Any]:
    """The options as JSON gives them back."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(config).items()}


def _listed(changed: dict[str, tuple[Any, Any]]) -> str:
    return ", ".join(f"{name} = {now} instead of {before}" for name, (before, now) in sorted(changed.items()))
