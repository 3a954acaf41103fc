"""Judge a model: bits/dim on held-out images, the Fréchet distance of its samples beside what real images get, and whether it copies.

    python training/evaluate.py --model runs/mnist/model --samples 1000 --grid samples.png
    accelerate launch --multi_gpu --num_processes 2 training/evaluate.py --model runs/mnist/model    # shared by processes: the same figures
    python training/evaluate.py --model bundled:mnist --dataset ylecun/mnist --samples 1000 --steps 100

The data set is the one that the model was trained on, with the same images held out, unless --dataset names another. Every figure has its n
beside it, an error bar where it is an estimate, and what real images get. "FID" is Inception's alone; with the bundled classifiers it is a
"Fréchet distance (features: ..., n)".
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

if not __package__:  # started as a file: Python then looks for modules beside this file first, where `data` would hide other packages
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import torch

from ddpm_space.denoiser import Denoiser
from ddpm_space.errors import TextError
from training.classifier import CLASSIFIERS, NUM_FEATURES
from training.config import FEATURES, ConfigError, TrainConfig, make_config, read_preset
from training.cost import TRAINING_FORWARDS
from training.data import DataError, ImageStream, open_data
from training.data.sources import find_source
from training.evaluation.findings import Evaluation
from training.evaluation.frechet import INCEPTION_FEATURES, chosen_features, load_features
from training.evaluation.heldout import HeldOut, Rows, held_out_bits, some
from training.evaluation.judge import judge
from training.evaluation.samples import check_writable, draw, save_pictures
from training.loop.processes import end_process, part, say, start_processes

DATA_OPTIONS = ("dataset", "streaming", "crop", "flip", "skip_broken", "memory_limit_gb", "eval_images", "seed")
PARTS_OF_A_SET = ("dataset_config", "dataset_revision", "dataset_split", "image_column", "eval_split")
"""Options of a run that decide which images it was trained on and which it held out; the second row means nothing for another set."""


@dataclass(frozen=True)
class EvaluationSettings:
    """What is measured, and how.

    images: of the held-out and of the training set whose bits/dim are estimated from `terms` network evaluations each; samples: drawn in `steps`
    reverse steps for distances and memorisation, judged in `features` ("mnist", "fashion_mnist" or "inception"; None without samples); seed: of all
    of it; flip: mirrored training images count as training images. 0 images or samples: not measured.
    """

    images: int = 64
    terms: int = 99
    samples: int = 0
    steps: int = 100
    features: str | None = None
    seed: int = 0
    flip: bool = False

    @classmethod
    def of(cls, config: TrainConfig) -> EvaluationSettings:
        """Read them from the options of a run, and refuse before any training what could not be measured after it.

        Raises:
            ConfigError: too few terms or samples, more steps than the chain has, a feature network that does not fit or is not there.
        """
        if config.eval_images and config.eval_terms < 3:
            raise ConfigError(f"eval_terms = {config.eval_terms}: use 3 or more, from {config.num_train_timesteps} on all terms are taken")
        features = None
        if config.eval_samples:
            shape = (config.channels, config.resolution, config.resolution)
            features = chosen_features(config.features, shape, config.dataset)
            needed = (NUM_FEATURES if features in CLASSIFIERS else INCEPTION_FEATURES) + 1
            if config.eval_samples < needed:
                raise ConfigError(
                    f"eval_samples = {config.eval_samples}: the features '{features}' need {needed:,} or more for a covariance; 0 for none"
                )
            if config.eval_steps > config.num_train_timesteps:
                raise ConfigError(f"eval_steps = {config.eval_steps} but the chain has {config.num_train_timesteps}: use at most as many")
        return cls(config.eval_images, config.eval_terms, config.eval_samples, config.eval_steps, features, config.seed, config.flip)


def evaluate_model(
    denoiser: Denoiser,
    settings: EvaluationSettings,
    train: Rows | None,
    held_out: Rows | None,
    *,
    shape: tuple[int, int, int],
    device: torch.device | str = "cpu",
    rank: int = 0,
    world: int = 1,
    notes: Sequence[str] = (),
) -> Evaluation:
    """Measure all that the settings ask for.

    Args:
        denoiser: the averaged weights, in eval mode, on `device`; shape: (C, H, W) of its images.
        train, held_out: the two sets, without augmentation; None for one that there is not, or that can only be streamed.
        rank, world: this process and how many share the work; all of them must call this, and all get the result.
        notes: what else should be said beside the figures, such as where the held-out images come from.
    """

    images = sum(min(settings.images, len(data)) for data in (train, held_out) if data is not None)
    forwards = images * min(settings.terms, len(denoiser.schedule)) + settings.samples * settings.steps
    if forwards:
        say(f"evaluating: about {forwards:,} forward passes of one image, the work of training on {forwards // TRAINING_FORWARDS:,}")

    def bits(data: Rows | None) -> HeldOut | None:
        if data is None or not settings.images:
            return None
        images = some(data, settings.images, settings.seed)
        return held_out_bits(denoiser, images, seed=settings.seed, evaluations=settings.terms, device=device, rank=rank, world=world)

    evaluation = Evaluation(bits(held_out), bits(train), None, None, (), tuple(notes), asdict(settings))
    if not settings.samples or settings.features is None:
        return evaluation
    x = draw(denoiser, shape, settings.samples, num_steps=settings.steps, seed=settings.seed, device=device, rank=rank, world=world)
    network = load_features(settings.features, str(device))
    drawn = ["the samples are drawn with the fixed variance beta_tilde, not with the learned ones"] if denoiser.with_variance else []
    judgement = judge(x, train, held_out, network, seed=settings.seed, flip=settings.flip, rank=rank, world=world)
    return replace(
        evaluation,
        frechet=judgement.frechet,
        recognised=judgement.recognised,
        memorisation=judgement.memorisation,
        notes=(*evaluation.notes, *drawn, *judgement.notes),
        samples=x,
        neighbours=judgement.neighbours,
    )


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="evaluate.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--model", required=True, help="pipeline folder, Hub id, or bundled:mnist")
    parser.add_argument("--dataset", help="as in training; default: what the model was trained on, by its training_config.yaml")
    parser.add_argument("--train_split", help="split to compare with (default: train)")
    parser.add_argument("--test_split", help="split held out (default: test)")
    parser.add_argument("--images", type=int, default=64, help="held-out images, and training images, whose bits/dim are estimated; 0 for none")
    parser.add_argument("--terms", type=int, default=99, help="network evaluations for each of them; the chain's length or more for all terms")
    parser.add_argument("--samples", type=int, default=1000, help="samples drawn for the Fréchet distance and the memorisation; 0 for none")
    parser.add_argument("--steps", type=int, help="reverse steps of a sample (default: 100, or all of a shorter chain)")
    parser.add_argument("--features", default="auto", choices=FEATURES, help="feature network of the distance")
    parser.add_argument("--seed", type=int, default=0, help="of samples, terms and noise")
    parser.add_argument("--cpu_threads", type=int, default=0, help="threads of each process on a CPU; 0 for all cores")
    parser.add_argument("--grid", type=Path, help="draw the first 64 samples into this picture")
    parser.add_argument("--neighbours", type=Path, help="draw 32 samples into this picture, those nearest to a training image, each above that image")
    parser.add_argument("--json", type=Path, help="write the figures into this file")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Load a model and its data set, evaluate, print.

    Raises:
        ConfigError, DataError, ModelError: what cannot be measured, before it is tried.
    """
    from ddpm_space.models import load, locate

    given = parse(arguments)
    if not given.images and not given.samples:
        raise ConfigError("--images 0 and --samples 0: there is nothing to measure; give one of them")
    if not given.samples and (given.grid or given.neighbours):
        raise ConfigError(f"--samples 0 with --{'grid' if given.grid else 'neighbours'}: there is nothing to draw; leave one of them out")
    for file in filter(None, (given.grid, given.neighbours, given.json)):
        check_writable(file)
    options, notes = data_options(given, locate(given.model)[0])
    accelerator = start_processes(make_config({"cpu_threads": given.cpu_threads, "mixed_precision": "no"}))
    model = load(given.model, device=str(accelerator.device))
    # The run's own eval_images and seed decide which images were held out of a set without a test split; --images takes some of those.
    config = make_config({**options, "channels": model.channels, "resolution": model.sample_size})
    steps = len(model.denoiser.schedule)
    asked = {f"eval_{name}": getattr(given, name) for name in ("images", "terms", "samples")}
    if given.samples or given.steps is not None:
        asked["eval_steps"] = min(100, steps) if given.steps is None else given.steps
    asked["features"] = given.features
    settings = EvaluationSettings.of(replace(config, **asked, seed=given.seed, num_train_timesteps=steps, sample_steps=1))
    # Asking for samples has a test split opened even where the run itself measured nothing.
    data = open_data(replace(config, eval_samples=max(given.images, given.samples)))
    evaluation = evaluate_model(
        model.denoiser,
        settings,
        None if isinstance(data.train, ImageStream) else data.train,
        data.held_out,
        shape=model.shape,
        device=accelerator.device,
        rank=accelerator.process_index,
        world=accelerator.num_processes,
        notes=[*notes, *data.notes],
    )
    if accelerator.is_main_process:
        print(evaluation)
        save_pictures(evaluation, given.grid, given.neighbours)
        if given.json:
            evaluation.save(given.json)
    part(accelerator)


def named_whole(given: argparse.Namespace) -> dict[str, Any]:
    """What to add to `data_options` where a whole set is needed: one that is named is read whole, also where the run itself streamed."""
    return {"streaming": False} if given.dataset is not None else {}


def data_options(given: argparse.Namespace, folder: Path) -> tuple[dict[str, Any], list[str]]:
    """Decide which images a model is judged on: those that its run held out, or another set's.

    Args:
        given: the command line; folder: the model's, whose training_config.yaml says what it was trained on.
    Returns:
        options of `open_data`, and what should be said about them.
    Raises:
        ConfigError: nothing names a data set, or it has no such split to hold out.
    """
    file, options, notes = folder / "training_config.yaml", {}, []
    if file.is_file():
        trained = read_preset(str(file))
        options = {name: trained[name] for name in (*DATA_OPTIONS, *PARTS_OF_A_SET) if name in trained}
    else:
        notes.append("no training_config.yaml came with the model: nothing shows that the held-out images were not trained on")
    own = options.get("dataset")
    if given.dataset is not None:
        # The same set may lie in another place on this machine: then its parts and the images held out are the run's.
        if own is not None and Path(own).name != Path(given.dataset).name:
            notes.append(f"the model was trained on '{Path(own).name}', not on these images")
            options = {name: value for name, value in options.items() if name not in PARTS_OF_A_SET}
        options["dataset"] = given.dataset
        if Path(given.dataset).expanduser().exists():  # a copy here has neither
            options = {name: value for name, value in options.items() if name not in ("dataset_config", "dataset_revision")}
    elif own is None:
        raise ConfigError(
            f"nothing says what '{given.model}' was trained on (no training_config.yaml came with it): name the data set with --dataset"
        )
    for name, split in (("dataset_split", given.train_split), ("eval_split", given.test_split)):
        if split:
            options[name] = split
    if given.test_split:
        source = find_source(options["dataset"], config=options.get("dataset_config"), revision=options.get("dataset_revision"))
        if not source.has(given.test_split):  # in training, some of the training images would stand in for it
            raise ConfigError(f"--test_split {given.test_split}: the data set {source.name} has {', '.join(source.splits) or 'no splits'}")
    return options, notes


if __name__ == "__main__":
    try:
        main()
    except (ConfigError, DataError, TextError) as error:
        sys.exit(f"evaluate.py: {error}")
    end_process()
