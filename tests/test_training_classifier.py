"""The bundled classifiers: they know their images, and the script that made them teaches."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from training import classifier
from training.classifier import CLASSIFIERS, Recipe, accuracy, load_classifier, mirrored, shifted, train
from training.data import DataError, ImageSet, load_images

PICTURES = Path(__file__).resolve().parents[1] / "ddpm_space" / "assets" / "examples"


def test_the_digits_are_known() -> None:
    assert accuracy(load_classifier(), load_images("bundled", split="test")) > 0.99


def test_the_clothes_are_known() -> None:
    from ddpm_space.images import load_image

    # Two of Fashion-MNIST's pictures are bundled as examples: class 4 is a coat, class 7 a sneaker.
    x = torch.cat([load_image(PICTURES / f"{name}.png", channels=1, size=28) for name in ("coat", "sneaker")])
    probabilities = load_classifier("fashion_mnist")(x).softmax(1)
    assert probabilities.argmax(1).tolist() == [4, 7] and float(probabilities.max(1).values.min()) > 0.8


def test_all_are_bundled_and_others_are_refused() -> None:
    assert {path.stem for path in classifier.WEIGHTS.glob("*.safetensors")} == set(CLASSIFIERS)
    with pytest.raises(ValueError, match="there is no classifier 'cifar10': use one of mnist, fashion_mnist"):
        load_classifier("cifar10")


def bars(count: int) -> ImageSet:
    """Two classes: a bright bar on the left, or on the right."""
    images, labels = torch.zeros(count, 1, 28, 28, dtype=torch.uint8), torch.arange(count) % 2
    images[labels == 0, :, :, 2:9] = 200
    images[labels == 1, :, :, 19:26] = 200
    return ImageSet(images, labels, "bars")


def test_it_learns_and_mirroring_is_only_for_what_stays_the_same_class() -> None:
    data = bars(128)
    assert accuracy(train(data, Recipe("bars", 4, flips=False), batch_size=16), data) == 1.0
    assert accuracy(train(data, Recipe("bars", 1, flips=True), batch_size=16), data) < 0.9
    with pytest.raises(DataError, match="the data set bars has no integer column 'label'"):
        train(ImageSet(data.images, None, "bars"), Recipe("bars", 1, flips=False))


def test_shifts_move_by_up_to_two_pixels_and_mirrors_turn_half() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.zeros(400, 1, 28, 28)
    x[:, :, 10, 12] = 1
    places = [shifted(x[:1], generator).nonzero()[0, 2:].tolist() for _ in range(100)]
    assert {tuple(place) for place in places} == {(10 + down, 12 + right) for down in range(-2, 3) for right in range(-2, 3)}
    turned = (mirrored(x, generator)[:, 0, 10, 15] == 1).sum()
    assert 160 < int(turned) < 240  # 200 +- 10


def test_the_script_saves_where_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(classifier, "load_images", lambda source, split: bars(128))
    monkeypatch.setitem(classifier.CLASSIFIERS, "mnist", Recipe("bars", 1, flips=False))
    monkeypatch.setattr("sys.argv", ["classifier.py", "--name", "mnist", "--output", str(tmp_path / "inner" / "bars.safetensors")])
    classifier.main()
    printed = capsys.readouterr().out
    assert (
        "135,930 parameters" in printed
        and "accuracy on 128 test images" in printed
        and (tmp_path / "inner" / "bars.safetensors").stat().st_size > 500_000
    )
