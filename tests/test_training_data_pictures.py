"""One cell of a data set as the network sees it: fit, channels, arrays, and what cannot be read."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ddpm_space.images import fitted, load_image
from training.data import pictures
from training.data.pictures import DataError, Decoder


def stored(picture: Image.Image, kind: str = "PNG", **options: Any) -> dict[str, Any]:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return {"bytes": buffer.getvalue(), "path": f"x.{kind.lower()}"}


def stripes(width: int, height: int) -> Image.Image:
    """Each column has its own level: 0, 10, 20, ..."""
    return Image.fromarray(np.tile(np.arange(width, dtype=np.uint8) * 10, (height, 1)))


def test_the_three_crops_of_a_wide_picture() -> None:
    cell = stored(stripes(16, 8))
    center, stretched, whole = (Decoder(1, 8, crop)(cell, "row 0") for crop in ("center", "stretch", "random"))
    assert center[0, 0].tolist() == list(range(40, 120, 10))
    assert whole.shape == (1, 8, 16) and whole[0, 0].tolist() == list(range(0, 160, 10))
    # Two columns of the picture become one: the mean of each pair, up to the resampling filter's reach at the edges.
    assert stretched.shape == (1, 8, 8) and (stretched[0, 0].float() - torch.arange(5, 160, 20)).abs().max() <= 3


def test_the_shorter_side_is_resampled_to_the_size_and_the_other_keeps_the_proportions() -> None:
    for size, wanted in (((40, 20), (16, 8)), ((20, 45), (8, 18)), ((3, 3), (8, 8)), ((100, 99), (8, 8))):
        assert fitted(Image.new("L", size), 8, "shorter").size == wanted
    assert load_image(Image.new("L", (40, 20)), size=8, fit="shorter").shape == (1, 1, 8, 16)
    with pytest.raises(ValueError, match="fit = 'cover'"):
        fitted(Image.new("L", (9, 9)), 8, "cover")


def test_a_photograph_is_turned_and_a_large_one_decoded_small_without_a_visible_difference() -> None:
    ramp = Image.fromarray(np.linspace(0, 255, 640 * 480, dtype=np.uint8).reshape(480, 640))
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    photograph = stored(ramp, "JPEG", exif=exif, quality=95)
    found = Decoder(1, 16)(photograph, "row 0")
    assert found[0, 0, 0] > found[0, 0, -1] + 150, "dark was on top, and is on the right now"
    slowly = load_image(Image.open(io.BytesIO(photograph["bytes"])), size=16)
    assert ((found / 127.5 - 1) - slowly[0]).abs().max() <= 3 / 127.5
    # Stripes two pixels wide in the result: blurred, were the file decoded at fewer pixels than are wanted.
    fine = stored(Image.fromarray(np.tile((np.arange(64) // 8 % 2 * 200).astype(np.uint8), (64, 1))), "JPEG", quality=95)
    slowly = load_image(Image.open(io.BytesIO(fine["bytes"])), size=16)
    assert ((Decoder(1, 16)(fine, "row 0") / 127.5 - 1) - slowly[0]).abs().max() <= 12 / 127.5


def test_pictures_of_12_bits_stored_in_16_are_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    pictures._say_dark.cache_clear()
    for highest in (65535, 0):  # all of the range, and nothing but black
        Decoder(1, 8)(stored(Image.fromarray(np.full((8, 8), highest, np.uint16))), "row 0")
    Decoder(1, 8)(stored(Image.new("L", (8, 8), 9)), "row 0")
    assert not caplog.records
    for _ in range(2):
        assert int(Decoder(1, 8)(stored(Image.fromarray(np.full((8, 8), 4095, np.uint16))), "row 0").max()) == 16
    assert len(caplog.records) == 1 and "nearly black; stretch them" in caplog.records[0].getMessage()


def test_four_channels_keep_the_transparency() -> None:
    picture = Image.new("RGBA", (8, 8), (10, 20, 30, 40))
    assert Decoder(4, 8)(stored(picture), "row 0")[:, 0, 0].tolist() == [10, 20, 30, 40]
    assert Decoder(4, 8)(stored(Image.new("L", (30, 20), 7)), "row 0")[:, 0, 0].tolist() == [7, 7, 7, 255]
    assert Decoder(3, 8)(stored(picture), "row 0")[:, 0, 0].tolist() != [10, 20, 30], "three channels show what lies behind"


@pytest.mark.parametrize("dtype, high", [(np.uint8, 255), (np.uint16, 65535), (np.float32, 1.0), (np.int64, 255)])
def test_arrays_of_any_number_of_channels_first_or_last(dtype: Any, high: float) -> None:
    levels = np.zeros((5, 8, 8))
    levels[:] = (np.arange(5) / 4)[:, None, None]
    values = (levels * high).astype(dtype)
    wanted = torch.tensor([0, 64, 128, 191, 255])
    for array in (values, np.moveaxis(values, 0, -1)):
        assert (Decoder(5, 8)(array, "row 0")[:, 0, 0].int() - wanted).abs().max() <= 1
    assert Decoder(5, 4)(values, "row 0").shape == (5, 4, 4)
    assert Decoder(1, 8)(values[2], "row 0").shape == (1, 8, 8)


@pytest.mark.parametrize(
    "cell, options, words",
    [
        (None, {}, ("row 3", "has no image")),
        ({"bytes": None, "path": None}, {}, ("row 3", "has no image")),
        ({"bytes": b"", "path": "empty.png"}, {}, ("row 3 (empty.png)", "not an image that can be read", "skip_broken")),
        (stored(stripes(8, 8)) | {"path": None}, {"crop": "random"}, ()),
        (stored(Image.new("L", (400, 8))), {"crop": "random"}, ("x.png", "400 x 8", "too long", "center")),
        (np.zeros((2, 8, 8), np.uint8), {}, ("shape (2, 8, 8)", "channels = 1")),
        (np.full((8, 8), 2.0), {}, ("from 2 to 2", "between 0 and 1")),
        (np.full((8, 8), np.nan), {}, ("nan", "between 0 and 1")),
        (np.full((8, 8), 256), {}, ("from 256 to 256", "between 0 and 255")),
        (np.full((8, 8), -1), {}, ("from -1", "between 0 and 255")),
        (np.array(["a"]), {}, ("type <U1",)),
        (np.zeros((1, 0, 8)), {}, ("shape (1, 0, 8)",)),
    ],
)
def test_what_cannot_be_read_is_named(cell: Any, options: dict[str, Any], words: tuple[str, ...]) -> None:
    decoder = Decoder(1, 8, **options)
    if not words:
        assert decoder(cell, "row 3").shape == (1, 8, 8)
        return
    with pytest.raises(DataError) as caught:
        decoder(cell, "row 3")
    assert all(word in str(caught.value) for word in words) and len(str(caught.value).splitlines()) == 1, str(caught.value)
