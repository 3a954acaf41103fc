"""The graph of a network: the same function as diffusers' own layers, in every shape that can be written, and left alone where it cannot."""

from __future__ import annotations

import copy
import logging
import os
import pickle
import subprocess
import sys
import threading
from typing import Any

import pytest
import torch
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel
from small_unets import network, question

from ddpm_space import cpu_graph, priority
from ddpm_space.cpu_graph import CpuGraph, GraphedForward, can_be_written, make_graphed
from ddpm_space.fast_forms import make_quick
from ddpm_space.models import BUNDLED, BUNDLED_FOLDER, load, ready

WRITTEN: dict[str, dict[str, Any]] = {
    "one head": {},
    "two heads": {"attention_head_dim": 8},
    "attention over 1,024 positions": {"sample_size": 32, "down_block_types": ("AttnDownBlock2D",) * 2, "up_block_types": ("AttnUpBlock2D",) * 2},
    "two layers, colour": {"layers_per_block": 2, "in_channels": 3, "out_channels": 3},
    "with a variance": {"out_channels": 2},
    "channels that fill no register": {"block_out_channels": (3, 5), "norm_num_groups": 1},
    "three levels, 28 pixels": {
        "sample_size": 28,
        "block_out_channels": (8, 16, 16),
        "down_block_types": ("DownBlock2D", "DownBlock2D", "AttnDownBlock2D"),
        "up_block_types": ("AttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
    },
    "no attention in the middle": {"add_attention": False},
    "one level": {"block_out_channels": (8,), "down_block_types": ("DownBlock2D",), "up_block_types": ("UpBlock2D",)},
}
NOT_WRITTEN: dict[str, dict[str, Any]] = {
    "scale and shift": {"resnet_time_scale_shift": "scale_shift"},
    "another activation": {"act_fn": "gelu"},
    "scaled outputs": {"mid_block_scale_factor": 2.0},
    "resnet sampling": {"downsample_type": "resnet", "upsample_type": "resnet"},
    "padding on two sides": {"downsample_padding": 0},
    "centred input": {"center_input_sample": True},
    "classes": {"num_class_embeds": 10},
    "a random embedding of t": {"time_embedding_type": "fourier"},
    "no middle": {"mid_block_type": None},
    "attention over 4,096 positions": {"sample_size": 64, "down_block_types": ("AttnDownBlock2D",) * 2, "up_block_types": ("AttnUpBlock2D",) * 2},
    "attention over 4,096 positions on the way up alone": {
        "sample_size": 64,
        "down_block_types": ("DownBlock2D",) * 2,
        "up_block_types": ("UpBlock2D", "AttnUpBlock2D"),
    },
    "a size that cannot be halved": {"sample_size": 15},
    "too many parameters": {"block_out_channels": (128, 256)},
    "skip blocks": {
        "in_channels": 3,
        "out_channels": 3,
        "block_out_channels": (32, 32),
        "down_block_types": ("SkipDownBlock2D", "AttnSkipDownBlock2D"),
        "up_block_types": ("AttnSkipUpBlock2D", "SkipUpBlock2D"),
    },
}


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("shape", WRITTEN)
def test_the_output_is_that_of_the_plain_network(shape: str, threads: int) -> None:
    plain = network(WRITTEN[shape])
    graphed = make_graphed(make_quick(copy.deepcopy(plain)).to(memory_format=torch.channels_last))
    assert isinstance(graphed.forward, GraphedForward)
    x, t = question(plain, 5)
    kept, before = x.clone(), torch.get_num_threads()
    with torch.inference_mode():
        expected = plain.double()(x.double(), t).sample
        torch.set_num_threads(threads)
        try:
            found, again = graphed(x, t).sample, graphed(x, t, return_dict=False)[0]
        finally:
            torch.set_num_threads(before)
    assert graphed.forward.graph is not None and found.dtype == torch.float32
    assert (found - expected).abs().max() < 1e-5 * max(1, float(expected.abs().max()))
    assert torch.equal(found, again) and torch.equal(x, kept)


@pytest.mark.parametrize("name", BUNDLED)
def test_the_bundled_weights_say_what_the_plain_network_says(name: str) -> None:
    """Outputs are about 1 in size: within 1e-5, of x_t anywhere on the chain and of a batch that no number of threads divides."""
    unet = load(f"bundled:{name}").denoiser.network.unet  # type: ignore[attr-defined]
    plain = UNet2DModel.from_pretrained(BUNDLED_FOLDER / name / "unet", use_safetensors=True).eval().double()
    assert isinstance(unet.forward, GraphedForward)
    x, t = torch.randn(17, 1, 28, 28, generator=torch.Generator().manual_seed(3)), torch.arange(17) * 62
    with torch.inference_mode():
        assert (unet(x, t).sample - plain(x.double(), t).sample).abs().max() < 2e-5


def test_an_image_has_the_same_bits_in_every_batch_of_one_t() -> None:
    unet = make_graphed(network({}))
    x, _ = question(unet, 7)
    with torch.inference_mode():
        assert torch.equal(unet(x, 40).sample[3:4], unet(x[3:4], torch.tensor([40])).sample)


@pytest.mark.parametrize("shape", NOT_WRITTEN)
def test_a_network_with_other_parts_is_left_alone(shape: str) -> None:
    unet = network(NOT_WRITTEN[shape])
    assert not can_be_written(unet) and make_graphed(unet) is unet and "forward" not in vars(unet)


@pytest.mark.parametrize("case", ["gradient of the input", "gradient of the weights", "training", "float64", "another size", "class labels"])
def test_what_the_graph_does_not_answer_is_diffusers_own(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = network({"dropout": 0.5})
    graphed = make_graphed(copy.deepcopy(plain))
    monkeypatch.setattr(cpu_graph.CpuGraph, "__call__", lambda *_: pytest.fail("the graph was asked"))
    x, t = question(plain, 2)
    if case == "class labels":
        with pytest.raises(ValueError, match="class_embedding"):
            graphed(x, t, torch.tensor([1, 2]))
        return
    if case == "float64":
        plain, graphed, x = plain.double(), graphed.double(), x.double()
    if case == "another size":
        x = torch.cat([x, x], dim=3)
    outputs = []
    for unet in (plain, graphed):
        unet.train(case == "training").requires_grad_(case == "gradient of the weights")
        x = x.detach().requires_grad_(case == "gradient of the input")
        torch.manual_seed(5)
        outputs.append(unet(x, t).sample)
        if case.startswith("gradient"):
            outputs[-1].sum().backward()
    assert torch.equal(*outputs)


def test_a_copy_in_another_process_says_the_same_bits() -> None:
    unet = make_graphed(network({}))
    x, t = question(unet, 2)
    sent = pickle.loads(pickle.dumps(unet))
    assert sent.forward.graph is None and sent.forward.unet is sent
    with torch.inference_mode():
        assert torch.equal(unet(x, t).sample, sent(x, t).sample)


def test_it_is_still_a_network_of_diffusers(tmp_path: Any) -> None:
    """Saved again it loads in plain diffusers: no class of this project is named in its files."""
    unet = make_graphed(network({}))
    DDPMPipeline(unet, DDPMScheduler()).save_pretrained(tmp_path)
    back = DDPMPipeline.from_pretrained(tmp_path).unet
    assert type(unet) is type(back) is UNet2DModel and dict(back.config)["block_out_channels"] == [8, 16]
    assert "ddpm_space" not in (tmp_path / "model_index.json").read_text()


def test_a_graph_that_is_another_function_is_not_used(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    shifts = CpuGraph.shifts
    for factor in (2.0, float("nan")):
        monkeypatch.setattr(CpuGraph, "shifts", lambda graph, embedding, factor=factor: factor * shifts(graph, embedding))
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            unet = make_graphed(network({}))
        assert "forward" not in vars(unet) and "ncnn is off by" in caplog.text


@pytest.mark.parametrize("error", [RuntimeError("no such layer"), MemoryError("no room")])
def test_a_graph_that_cannot_be_made_is_not_used(error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr(CpuGraph, "__init__", refuse)
    with caplog.at_level(logging.WARNING):
        unet = make_graphed(network({}))
    assert "forward" not in vars(unet) and f"ncnn does not take this network ({error})" in caplog.text


@pytest.mark.parametrize("value", [float("nan"), 3e38])
def test_weights_that_give_no_numbers_give_none_here_either(value: float) -> None:
    """Whoever loads such weights must be told by what they give."""
    unet = network({})
    unet.conv_in.weight.fill_(value)
    x, t = question(unet, 1)
    with torch.inference_mode():
        assert not make_graphed(unet)(x, t).sample.isfinite().all()


def test_many_threads_may_ask_at_once() -> None:
    from concurrent.futures import ThreadPoolExecutor

    unet = make_graphed(network({}))
    x, t = question(unet, 4)

    def ask(_: int) -> torch.Tensor:
        with torch.inference_mode():
            return unet(x, t).sample

    with ThreadPoolExecutor(4) as pool:
        first, *others = pool.map(ask, range(12))
    assert all(torch.equal(first, other) for other in others)


@pytest.mark.skipif(sys.platform != "linux", reason="niceness is a process's own elsewhere")
@pytest.mark.parametrize("count", [1, 5])
def test_in_a_server_the_threads_of_a_network_give_way_and_say_the_same_bits(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def niceness() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    unet, fill, seen = make_graphed(network({})), CpuGraph._fill, []
    x, t = question(unet, count)
    before, threads = niceness(), torch.get_num_threads()
    monkeypatch.setattr(CpuGraph, "_fill", lambda *arguments: (seen.append(niceness()), fill(*arguments))[1])
    with torch.inference_mode():
        expected = unet(x, t).sample
        assert seen == [before] * len(seen)
        seen.clear()
        monkeypatch.setattr(priority, "_networks_give_way", threading.Event())
        priority.let_networks_give_way()
        found = unet(x, t).sample
    assert seen == [max(before, priority.NICENESS)] * min(threads, count) and niceness() == before
    assert torch.equal(found, expected)


def test_a_sandbox_that_forbids_it_keeps_nobody_from_sampling(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: int) -> None:
        raise PermissionError(1, "not permitted")

    monkeypatch.setattr(os, "setpriority", refuse, raising=False)
    pool = priority._lowered_threads.__wrapped__()
    monkeypatch.setattr(priority, "_lowered_threads", lambda: pool)
    monkeypatch.setattr(priority, "_networks_give_way", threading.Event())
    priority.let_networks_give_way()
    done: list[int] = []
    priority.share_out(lambda: done.append(1), 3)
    assert done == [1, 1, 1]


@pytest.mark.skipif(sys.platform != "linux", reason="only there threads give way")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own() -> None:
    """The server forks where a platform lends GPUs, and the server's threads are not in its child."""
    assert priority._lowered_threads().submit(os.getpid).result() == os.getpid()
    child = os.fork()
    if child == 0:
        try:
            os._exit(priority._lowered_threads().submit(os.getpid).result(timeout=10) != os.getpid())
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0


def test_without_ncnn_torch_evaluates_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ddpm_space.models.find_spec", lambda name: None)
    assert "forward" not in vars(ready(network({}), "cpu"))


def test_with_an_ncnn_that_does_not_load_torch_evaluates_it(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setitem(sys.modules, "ddpm_space.cpu_graph", None)
    with caplog.at_level(logging.WARNING):
        assert "forward" not in vars(ready(network({}), "cpu"))
    assert "ncnn is installed and cannot be used" in caplog.text


def test_on_another_device_torch_evaluates_it() -> None:
    assert "forward" not in vars(ready(network({}), "meta"))


def test_the_form_is_written_without_anything_on_the_console() -> None:
    """ncnn writes to the process's own streams, where a server's log is."""
    code = "from ddpm_space.models import load; load('bundled:mnist')"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout == done.stderr == ""
