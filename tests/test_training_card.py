"""The model card: true to its config, complete, readable as the Hub renders it, and with metadata that the Hub's rules accept."""

from __future__ import annotations

import itertools
import math
import re
import sys
from pathlib import Path
from typing import Any

import hub_cards
import pytest
import torch
from huggingface_hub import ModelCard
from markdown_it import MarkdownIt

from training.config import TrainConfig, make_config
from training.evaluation.findings import Evaluation, Frechet, Recognised
from training.evaluation.frechet import Distance
from training.evaluation.heldout import HeldOut
from training.evaluation.memorisation import compare
from training.publishing.card import command, for_hub, model_card, planned_card, shareable
from training.publishing.credits import credit_of


def evaluation(name: str = "Fréchet distance", features: str = "the bundled classifier of digits, 64 of them") -> dict[str, Any]:
    held_out = HeldOut(2.3456, 0.01, 0.0789, 64, 99, torch.ones(64), "per dimension of the 8-bit image")
    frechet = Frechet(name, features, Distance(2.104, 0.12, 1000, 60000), Distance(0.78, 0.03, 1000, 60000), None, None)
    near = compare("pixels", torch.linspace(1, 2, 100), torch.linspace(1, 2, 100))
    found = Evaluation(
        held_out,
        None,
        frechet,
        Recognised(0.9, 0.811, 0.972, 1000, 1000, [100] * 10),
        (near,),
        ("a note",),
        {"samples": 1000, "steps": 100, "seed": 0},
    )
    return found.to_dict()


def card(changes: dict[str, Any] | None = None, **facts: Any) -> str:
    usual: dict[str, Any] = {
        "data_name": "ylecun/mnist",
        "data_size": 60_000,
        "parameters": 1_112_801,
        "images": 600_000,
        "seconds": 3000.0,
        "loss": 0.02,
        "precision": "bf16",
    }
    return model_card(make_config({"dataset": "ylecun/mnist", **(changes or {})}), **{**usual, **facts})


def rows(text: str) -> dict[str, list[str]]:
    """The rows of all tables, by their first cell, as a Markdown renderer with the Hub's tables reads them."""
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    found: dict[str, list[str]] = {}
    cells: list[str] = []
    for token, content in itertools.pairwise(tokens):
        if token.type == "tr_open":
            cells = []
        elif token.type in ("td_open", "th_open"):
            cells.append(content.content)
            found[cells[0]] = cells[1:]
    return found


CARDS = {
    "measured": lambda: card(evaluation=evaluation(), picture="samples.png", raw_variant=True),
    "bare": lambda: card({"dataset": "bundled"}, data_name="mnist_small (bundled)"),
    "stream": lambda: card({"dataset": "someone/photos", "streaming": True}, data_name="someone/photos", data_size=None),
    "learned": lambda: card({"variance": "learned_range", "min_snr_gamma": 5, "init_from": "bundled"}),
    "planned": lambda: planned_card(TrainConfig(), "2026-01-01 12:00:00 UTC"),
}


def test_the_card_before_the_first_step_credits_the_bundled_images() -> None:
    text = CARDS["planned"]()
    assert "# DDPM on mnist_small (bundled)" in text and ModelCard(text).data.license == "cc-by-sa-3.0"


@pytest.mark.parametrize("name", CARDS)
def test_a_card_is_whole_and_its_metadata_follow_the_hubs_rules(name: str) -> None:
    text = CARDS[name]()
    assert hub_cards.problems(text, "model") == ([], [])
    assert "More Information Needed" not in text and not re.search(r"\b(None|nan|inf)\b|\{|\}|TODO", ModelCard(text).text)
    data = ModelCard(text).data.to_dict()
    assert data["library_name"] == "diffusers" and data["pipeline_tag"] == "unconditional-image-generation" and data["license"]
    assert rows(text)["noise schedule"] == ["`squaredcos_cap_v2`, T = 1000, abar_T = 2.4e-09"]
    rendered = MarkdownIt("commonmark").enable("table").render(ModelCard(text).text)
    assert "| " not in re.sub(r"<code>.*?</code>", "", rendered), "a table that is none"


def test_the_figures_stand_in_the_card_with_their_errors_and_n_and_in_its_metadata() -> None:
    text = CARDS["measured"]()
    table = rows(text)
    assert table["bits/dim, held-out images (an upper bound)"] == ["2.346 ± 0.079", "", "64, 99 terms each"]
    distance = table["Fréchet distance to the training set (features: the bundled classifier of digits, 64 of them)"]
    assert distance == ["2.10 ± 0.12", "0.78 ± 0.03 (n = 1,000)", "n = 1,000, against 60,000"]
    assert table["recognised by that classifier with confidence >= 0.9"] == ["81.1%", "97.2% (n = 1,000)", "n = 1,000"]
    assert table["closer to a training image than a new real image is, pixels"][0].startswith("50.0% ±")
    assert "Not FID" in text and "- a note" in text and "![64 samples of the model](samples.png)" in text and 'variant="raw"' in text
    results = {result.metric_type: result for result in ModelCard(text).data.eval_results}
    assert set(results) == {"bits_per_dim", "frechet_distance"}
    assert results["bits_per_dim"].metric_value == 2.346 and results["bits_per_dim"].metric_args["n"] == 64
    assert results["frechet_distance"].metric_args == {"n": 1000, "reference": 60000, "standard_error": 0.12, "real_images_instead": 0.78}
    assert results["frechet_distance"].dataset_type == "ylecun/mnist" and "n = 1,000" in results["frechet_distance"].metric_name


def test_a_distance_is_called_fid_only_where_its_features_are_inceptions() -> None:
    text = card(evaluation=evaluation("FID", "Inception v3, 2048 of them"))
    assert "Not FID" not in text
    assert {result.metric_type for result in ModelCard(text).data.eval_results} == {"bits_per_dim", "fid"}


def test_what_was_not_measured_is_not_shown() -> None:
    nothing = Evaluation(None, None, None, None, (), ("a note",), {}).to_dict()
    assert card(evaluation=nothing, notes=["a note"]).count("a note") == 1 and "Nothing was measured" in card(evaluation=nothing)
    assert card(evaluation=evaluation(), notes=["a note"]).count("- a note") == 1
    assert "loss at the end" not in card(loss=math.nan) and "nan" not in card(loss=math.nan)
    text = CARDS["bare"]()
    assert "How good it is" not in text and "Nothing was measured" in text and ModelCard(text).data.eval_results is None
    assert "What it draws" not in text and 'variant="raw"' not in text


def test_the_card_says_what_the_config_says() -> None:
    options = {"batch_size": 16, "gradient_accumulation_steps": 2, "flip": True, "crop": "random", "dropout": 0.1, "train_images": 6400}
    table = rows(card({**options, "variance": "learned_range", "timestep_sampling": "loss_aware"}, images=6400, processes=2, data_size=3200))
    assert rows(card(data_name="a|b"))["data"] == ["a|b, 60,000 images"]
    assert table["steps"] == ["100 of 64 images (16 in a forward pass x 2 accumulated x 2 processes)"]
    assert table["images seen"] == ["6,400 of 6,400 planned (2.0 epochs)"]
    assert table["data"] == ["ylecun/mnist, 3,200 images, cut at random, mirrored at random"]
    assert "learned" in table["reverse variance"][0] and "L_hybrid" in table["loss"][0] and table["timesteps"] == ["drawn loss-aware"]
    assert rows(card())["network"] == ["`UNet2DModel`, widths 32, 64, 64, 1 residual block a level, self-attention in the middle and at level 2"]
    assert rows(card())["reverse variance"] == ["fixed, beta_tilde (`fixed_small`)"]


def test_the_licence_is_the_data_sets_where_it_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    licences = {"ylecun/mnist": "cc-by-sa-3.0", "zalando-datasets/fashion_mnist": "mit", "uoft-cs/cifar10": "unknown", "someone/cats": "unknown"}
    for name, licence in licences.items():
        assert ModelCard(card({"dataset": name}, data_name=name)).data.license == licence
    assert "Zalando" in card({"dataset": "zalando-datasets/fashion_mnist"}, data_name="zalando-datasets/fashion_mnist")
    assert "huggingface.co/datasets/someone/cats" in card({"dataset": "someone/cats"}, data_name="someone/cats")
    data = ModelCard(card({"init_from": "someone/digits@v2"})).data
    assert (
        data.base_model == "someone/digits"
        and data.datasets == ["ylecun/mnist"]
        and ModelCard(card({"init_from": "bundled"})).data.base_model is None
    )
    (tmp_path / "someone" / "cats").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert ModelCard(card({"dataset": "someone/cats"}, data_name="cats")).data.datasets is None, "a folder here is no id on the Hub"
    assert credit_of("Fashion-MNIST") is credit_of("fashion_mnist") is not credit_of("mnist_small (bundled)")
    assert (
        credit_of("mnist_small (bundled)") is credit_of("mnist/train-00.parquet") is credit_of("MNIST_png") is credit_of("ylecun/mnist") is not None
    )
    for other in ("flowers", "someone/emnist", "medmnist", "chinese-mnist", "mnist_corrupted", "cifar100", "ada/fashion-products", "mnist/cats"):
        assert credit_of(other) is None, "another data set, with terms of its own"


def test_neither_card_nor_options_name_folders_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/home/ada/train.py", "--dataset=/home/ada/cats", "--output_dir", "/home/ada/runs/cats", "--flip"])
    assert command() == "accelerate launch training/train.py --dataset=cats --output_dir cats --flip"
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(sys, "argv", ["train.py", "--dataset", "my cats"])
    assert command() == "accelerate launch --multi_gpu --num_processes 2 training/train.py --dataset 'my cats'"
    config = make_config({"dataset": "/home/ada/cats", "output_dir": "/home/ada/runs/cats", "init_from": "/home/ada/old"})
    text = model_card(config, data_name="cats", data_size=9, parameters=1, images=9, seconds=1, loss=1, precision="no") + planned_card(
        config, "today"
    )
    assert "/home" not in text and "started from `old`" in text
    options = shareable(config.to_yaml())
    assert "/home" not in options and "hub" not in options
    assert make_config({**vars(config), "dataset": "cats", "output_dir": "cats", "init_from": "old"}).to_yaml().startswith(options[:500])


def test_on_the_hub_the_card_names_its_repository() -> None:
    text = card(raw_variant=True)
    named = for_hub(text, "ada/cats")
    assert "PATH" not in named and named.count('from_pretrained("ada/cats"') == 2 and '--model "ada/cats"' in named
    assert 'from_pretrained("ada/cats", revision="v2")' in for_hub(text, "ada/cats", "v2") and '--model "ada/cats@v2"' in for_hub(
        text, "ada/cats", "v2"
    )
