"""Pictures: every mode read at its right level, every bad one refused in one sentence, and back to 8 bits without a shift."""

from __future__ import annotations

import base64
import io
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFile

from ddpm_space import images
from ddpm_space.images import IMAGE_ERRORS, ImageError, load_image

RAMP = np.arange(28 * 28).reshape(28, 28)


def save(picture: Image.Image, path: Path, **options: object) -> Path:
    picture.save(path, **options)
    return path


def refused(key: str, source: object, **options: object) -> ImageError:
    with pytest.raises(ImageError) as caught:
        load_image(source, **options)
    assert caught.value.key == key
    assert "{" not in str(caught.value) and len(str(caught.value).splitlines()) == 1
    return caught.value


def png_header(path: Path, width: int, height: int) -> Path:
    """Write a PNG that announces a size and holds hardly any pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b""))
    return path


def test_gray_bytes_become_values_from_minus_one_to_one_and_back(tmp_path: Path) -> None:
    levels = (RAMP % 256).astype(np.uint8)
    x = load_image(save(Image.fromarray(levels), tmp_path / "gray.png"))
    assert x.shape == (1, 1, 28, 28) and x.dtype == torch.float32
    assert torch.allclose(x[0, 0], torch.from_numpy(levels).float() / 127.5 - 1, atol=1e-6)
    assert (images.to_uint8(x)[0] == levels).all()
    assert (images.to_uint8(images.quantize(x))[0] == levels).all()


@pytest.mark.parametrize("name", ["deep.png", "deep.tif", "deep.pgm"])
def test_16_bit_pictures_keep_their_levels(tmp_path: Path, name: str) -> None:
    deep = (RAMP * 83).astype(np.uint16)
    deep[0, 0] = 65535  # pure white, which a rounded value would put out of range
    x = load_image(save(Image.fromarray(deep), tmp_path / name))
    expected = torch.from_numpy(deep.astype(np.float64)) / 65535 * 2 - 1
    assert (x[0, 0] - expected).abs().max() < 1e-6
    small = load_image(tmp_path / name, size=14)
    assert abs(small.mean() - expected.mean()) < 0.01


def test_big_endian_16_bit(tmp_path: Path) -> None:
    deep = (RAMP * 83).astype(np.uint16)
    picture = Image.frombytes("I;16B", (28, 28), deep.astype(">u2").tobytes())
    assert (load_image(picture)[0, 0] - (torch.from_numpy(deep.astype(np.float64)) / 65535 * 2 - 1)).abs().max() < 1e-6


def test_transparent_parts_show_the_background(tmp_path: Path) -> None:
    picture = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    picture.putpixel((0, 0), (255, 0, 0, 255))
    path = save(picture, tmp_path / "clear.png")
    for background, level in (("white", 1.0), ("black", -1.0)):
        x = load_image(path, channels=3, background=background)
        assert x[0, :, 0, 0].tolist() == [1.0, -1.0, -1.0]
        assert (x[0, :, 1:, 1:] == level).all()
    palette = Image.fromarray(np.zeros((4, 4), np.uint8)).convert("P")
    x = load_image(save(palette, tmp_path / "clear.gif", transparency=0), channels=3)
    assert (x == 1).all()


def test_half_transparent_is_mixed(tmp_path: Path) -> None:
    path = save(Image.new("LA", (2, 2), (0, 128)), tmp_path / "half.png")
    assert torch.allclose(load_image(path), torch.tensor(127 / 127.5 - 1), atol=0.01)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "LAB", "I;16", "F"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_mode_can_be_read(mode: str, channels: int) -> None:
    x = load_image(Image.new(mode, (6, 5)), channels=channels)
    assert x.shape == (1, channels, 5, 6) and torch.isfinite(x).all() and x.abs().max() <= 1


def test_cmyk_jpeg_has_its_colours(tmp_path: Path) -> None:
    path = save(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), tmp_path / "press.jpg", quality=95)
    x = load_image(path, channels=3)[0, :, 8, 8]
    assert x[0] > 0.9 and x[1] < -0.9 and x[2] < -0.9


def test_gray_of_a_colour_is_its_luma() -> None:
    x = load_image(Image.new("RGB", (2, 2), (200, 100, 50)))
    assert abs(float(x[0, 0, 0, 0]) - ((0.299 * 200 + 0.587 * 100 + 0.114 * 50) / 127.5 - 1)) < 0.01


@pytest.mark.parametrize("name", ["moving.gif", "moving.png", "moving.webp"])
def test_an_animation_gives_its_first_frame(tmp_path: Path, name: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue", "green")]
    path = save(frames[0], tmp_path / name, save_all=True, append_images=frames[1:], **({"lossless": True} if name.endswith("webp") else {}))
    x = load_image(path, channels=3)
    assert x.shape == (1, 3, 8, 8) and x[0, :, 4, 4].tolist() == [1.0, -1.0, -1.0]


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    levels = np.zeros((10, 20), np.uint8)
    levels[:, :10] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    x = load_image(save(Image.fromarray(levels), tmp_path / "turned.png", exif=exif))
    assert x.shape == (1, 1, 20, 10)
    assert x[0, 0, :10].mean() > 0.99 and x[0, 0, 10:].mean() < -0.99


def test_size_takes_the_middle_square_and_leaves_the_right_size_alone(tmp_path: Path) -> None:
    levels = np.zeros((30, 90), np.uint8)
    levels[:, 30:60] = 255
    assert load_image(Image.fromarray(levels), size=10).mean() > 0.95
    noise = np.random.default_rng(0).integers(0, 256, (28, 28), np.uint8)
    assert (images.to_uint8(load_image(Image.fromarray(noise), size=28))[0] == noise).all()


def test_arrays() -> None:
    assert load_image(np.full((4, 5, 3), 255, np.uint8), channels=3).shape == (1, 3, 4, 5)
    assert load_image(np.full((4, 5), 0.5)).abs().max() < 1e-6
    assert abs(load_image(np.full((4, 5, 3), 32768, np.uint16)).mean()) < 0.01
    assert load_image(np.ones((4, 5, 1), np.float32)).shape == (1, 1, 4, 5)


def test_nan_is_refused(tmp_path: Path) -> None:
    array = np.ones((4, 4), np.float32)
    array[1, 2] = np.nan
    error = refused("error.image.not_finite", array)
    assert error.values["count"] == 1 and error.values["total"] == 16
    array[0, 0] = np.inf
    refused("error.image.not_finite", save(Image.fromarray(array), tmp_path / "nan.tif"))
    with pytest.raises(ImageError, match="2 of 16"):
        images.check_finite(torch.from_numpy(array))
    x = torch.zeros(3)
    assert images.check_finite(x) is x


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [3000, 12_000, 20_000])
def test_too_many_pixels_are_refused_before_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, side: int) -> None:
    def decode(self: ImageFile.ImageFile) -> None:
        raise AssertionError("a pixel was decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", decode)
    error = refused("error.image.too_many_pixels", png_header(tmp_path / "huge.png", side, side))
    assert error.values == {"pixels": side * side, "max_pixels": images.MAX_PIXELS}


def test_the_limit_itself_is_accepted(tmp_path: Path) -> None:
    path = save(Image.new("L", (20, 10)), tmp_path / "limit.png")
    assert load_image(path, max_pixels=200).shape == (1, 1, 10, 20)
    refused("error.image.too_many_pixels", path, max_pixels=199)
    refused("error.image.too_many_pixels", np.zeros((20, 10), np.uint8), max_pixels=199)


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "bmp", "webp", "tif", "ppm"])
@pytest.mark.parametrize("share", [0.9, 0.4])
def test_truncated_files_are_refused(tmp_path: Path, suffix: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (60, 40, 3), np.uint8)
    path = save(Image.fromarray(noise), tmp_path / f"whole.{suffix}")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ImageError) as caught:
        load_image(path)
    assert caught.value.key in ("error.image.damaged", "error.image.not_an_image")


def test_files_that_are_no_images(tmp_path: Path) -> None:
    text = tmp_path / "notes.png"
    text.write_text("not a picture")
    assert refused("error.image.not_an_image", text).values == {"name": "notes.png"}
    empty = tmp_path / "empty.png"
    empty.touch()
    refused("error.image.not_an_image", empty)
    script = tmp_path / "drawing.eps"  # Pillow would hand this one to another program
    script.write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n")
    refused("error.image.not_an_image", script)
    refused("error.image.not_found", tmp_path)
    refused("error.image.not_found", tmp_path / "nowhere.png")
    refused("error.image.missing", None)
    refused("error.image.not_an_image", png_header(tmp_path / "flat.png", 5, 0))


def test_values_out_of_range_and_odd_arrays() -> None:
    refused("error.image.range", np.full((4, 4), 200.0))
    refused("error.image.range", Image.fromarray(np.full((4, 4), -0.5, np.float32)))
    refused("error.image.range", Image.fromarray(np.full((4, 4), 70_000, np.int32)))
    refused("error.image.array", np.zeros((4, 4, 2), np.uint8))
    refused("error.image.array", np.zeros(4, np.uint8))
    refused("error.image.array", np.zeros((0, 4), np.uint8))
    refused("error.image.array", np.zeros((4, 4), np.int64))
    with pytest.raises(ValueError, match="channels = 2"):
        load_image(np.zeros((4, 4), np.uint8), channels=2)


def test_error_texts_name_their_values() -> None:
    for key, template in IMAGE_ERRORS.items():
        values = {name: 7 for name in re.findall(r"{(\w+)", template)}
        error = ImageError(key, **values)
        assert error.key == key and error.values == values and str(error).count("7") >= len(values)


def test_to_uint8_clamps_and_keeps_the_batch() -> None:
    x = torch.tensor([-9.0, -1.0, 0.0, 1.0, 9.0]).reshape(1, 1, 1, 5)
    assert images.to_uint8(x).tolist() == [[[0, 0, 128, 255, 255]]]
    assert images.to_uint8(torch.zeros(2, 3, 4, 5)).shape == (2, 4, 5, 3)
    assert images.to_uint8(torch.zeros(1, 4, 5)).shape == (4, 5)


def test_a_grid_lays_images_out_row_by_row() -> None:
    batch = torch.stack([torch.full((1, 2, 2), level) for level in (-1.0, 1.0, -0.2)])
    sheet = np.array(images.grid(batch, 2, gap=1))
    assert sheet.shape == (5, 5)
    assert (sheet[:2, :2] == 0).all() and (sheet[:2, 3:] == 255).all() and (sheet[3:, :2] == 102).all()
    assert (sheet[2] == 128).all() and (sheet[3:, 3:] == 128).all()
    with pytest.raises(ValueError, match="columns"):
        images.grid(batch, 0)


def test_png_and_data_uri_hold_the_same_pixels() -> None:
    x = torch.rand(3, 4, 6, generator=torch.Generator().manual_seed(0)) * 2 - 1
    picture = Image.open(io.BytesIO(images.png_bytes(x, scale=3)))
    assert picture.size == (18, 12)
    assert (np.array(picture)[::3, ::3] == images.to_uint8(x)).all() and (np.array(picture)[2::3, 2::3] == images.to_uint8(x)).all()
    head, body = images.data_uri(x).split(",")
    assert head == "data:image/png;base64"
    assert (np.array(Image.open(io.BytesIO(base64.b64decode(body)))) == images.to_uint8(x)).all()
    with pytest.raises(ValueError, match="one image"):
        images.to_pil(torch.zeros(2, 1, 4, 4))
