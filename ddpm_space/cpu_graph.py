"""A UNet as a graph of ncnn, for a CPU: its 3 x 3 convolutions in Winograd's form, a third to a half of the arithmetic, and one image a core.

The same function to rounding, which is tried when the graph is written. Only for evaluation, in float32, at the size of picture that the network was
trained on; for all else, and for networks with parts that are not written here, it is diffusers' own again.
"""

from __future__ import annotations

import logging
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import ncnn
import numpy as np
import torch
import torch.nn.functional as F
from diffusers import UNet2DModel
from diffusers.models.attention_processor import Attention
from diffusers.models.downsampling import Downsample2D
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.unets.unet_2d import UNet2DOutput
from diffusers.models.unets.unet_2d_blocks import AttnDownBlock2D, AttnUpBlock2D, DownBlock2D, UNetMidBlock2D, UpBlock2D
from diffusers.models.upsampling import Upsample2D
from torch import Tensor, nn

from ddpm_space.fast_forms import doubled_kernel, is_common, is_nearest, is_over_a_map
from ddpm_space.priority import share_out

LARGEST = 4_000_000
"""Parameters of a network that is written: Winograd's form holds four numbers for a weight, beside the network itself."""

LONGEST = 1024
"""Positions of a map with attention: their scores are held as one matrix."""

SMALL_MAP = 8
"""Side of the maps up to which a convolution stays plain: they have so few tiles that the larger weights cost more than the arithmetic they save."""

CLOSE = 1e-4
"""How far the graph may be from the network, in units of its largest output, or of one where that is smaller."""

log = logging.getLogger(__name__)


class GraphedForward:
    """`UNet2DModel.forward` by the graph where it can. Weights that are changed later reach only copies, which write their graph anew."""

    def __init__(self, unet: UNet2DModel) -> None:
        self.unet = unet
        self.graph: CpuGraph | None = None

    def __call__(self, sample: Tensor, timestep: Tensor | float, class_labels: Tensor | None = None, return_dict: bool = True) -> Any:
        """Arguments and result as in `UNet2DModel.forward`."""
        unet = self.unet
        if class_labels is not None or not self._is_for_the_graph(sample):
            return UNet2DModel.forward(unet, sample, timestep, class_labels, return_dict)
        if self.graph is None:
            self.graph = CpuGraph(unet)
        t = torch.as_tensor(timestep).expand(len(sample))
        # While sampling all images have one t, and need it embedded once.
        asked = t[:1] if (t == t[0]).all() else t
        embedded = unet.time_embedding(unet.time_proj(asked).to(sample.dtype))
        shifts = self.graph.shifts(F.silu(embedded)).expand(len(sample), -1)
        output = self.graph(sample, shifts)
        return UNet2DOutput(sample=output) if return_dict else (output,)

    def _is_for_the_graph(self, x: Tensor) -> bool:
        config, weight = self.unet.config, self.unet.conv_in.weight
        return (
            not self.unet.training
            and not (torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad))
            and x.device.type == weight.device.type == "cpu"
            and x.dtype == weight.dtype == torch.float32
            and len(x) > 0
            and tuple(x.shape[1:]) == (config.in_channels, config.sample_size, config.sample_size)
        )

    def __getstate__(self) -> dict[str, Any]:
        """All but the graph: ncnn's objects cannot be sent to another process."""
        return {"unet": self.unet, "graph": None}


def make_graphed(unet: UNet2DModel) -> UNet2DModel:
    """Let a network whose weights are final answer by its graph, if it has only parts that can be written, in place; returns the network.

    What was written is tried on one picture. Should it fail or be another function there, by a fault of a library, the network is left as it is.
    """
    unet.eval()
    if not can_be_written(unet):
        return unet
    side, generator = unet.config.sample_size, torch.Generator().manual_seed(0)
    x, t = torch.randn(1, unet.config.in_channels, side, side, generator=generator), torch.tensor([1])
    graphed = GraphedForward(unet)
    try:
        with torch.inference_mode():
            expected, found = unet(x, t, return_dict=False)[0], graphed(x, t, return_dict=False)[0]
    except (RuntimeError, MemoryError, OSError) as error:
        log.warning("ncnn does not take this network (%s), which torch evaluates therefore", error)
        return unet
    off = float((found - expected).abs().max())
    if off <= CLOSE * max(1.0, float(expected.abs().max())):
        unet.forward = graphed
    else:  # also where it is no number
        log.warning("ncnn is off by %.1e for this network, which torch evaluates therefore", off)
    return unet


def can_be_written(unet: UNet2DModel) -> bool:
    """Whether every part of a network is among those that `CpuGraph` writes."""
    config = unet.config
    if type(unet) is not UNet2DModel or unet.dtype != torch.float32 or unet.device.type != "cpu" or unet.num_parameters() > LARGEST:
        return False
    if not isinstance(config.sample_size, int) or config.center_input_sample or unet.class_embedding is not None:
        return False
    if config.time_embedding_type != "positional" or type(unet.mid_block) is not UNetMidBlock2D or not isinstance(unet.conv_act, nn.SiLU):
        return False
    if not {type(block) for block in (*unet.down_blocks, *unet.up_blocks)} <= {DownBlock2D, AttnDownBlock2D, UpBlock2D, AttnUpBlock2D}:
        return False
    halvings = [part for block in unet.down_blocks for part in block.downsamplers or ()]
    doublings = [part for block in unet.up_blocks for part in block.upsamplers or ()]
    if config.sample_size % 2 ** len(halvings) or len(halvings) != len(doublings):
        return False
    sides = [config.sample_size >> level for level in range(len(halvings) + 1)]
    by_side = [*zip(sides, unet.down_blocks, strict=True), *zip(reversed(sides), unet.up_blocks, strict=True)]
    longest = max((side**2 for side, block in by_side if isinstance(block, (AttnDownBlock2D, AttnUpBlock2D))), default=0)
    return (
        longest <= LONGEST
        and sides[-1] ** 2 <= LONGEST
        and all(isinstance(part, Downsample2D) and _is_halving(part) for part in halvings)
        and all(isinstance(part, Upsample2D) and is_nearest(part) for part in doublings)
        and all(is_common(part) for part in unet.modules() if isinstance(part, ResnetBlock2D))
        and all(is_over_a_map(part) and part.to_q.bias is not None for part in unet.modules() if isinstance(part, Attention))
    )


def _is_halving(part: Downsample2D) -> bool:
    return part.use_conv and part.norm is None and part.conv.kernel_size == (3, 3) and part.conv.stride == (2, 2) and part.conv.padding == (1, 1)


class CpuGraph:
    """The graph of a network of which `can_be_written` says yes: (image, one shift a channel of every block) -> output.

    Raises:
        RuntimeError: ncnn does not take what was written.
    """

    def __init__(self, unet: UNet2DModel) -> None:
        blocks = [part for part in unet.modules() if isinstance(part, ResnetBlock2D)]
        # What t adds to the channels of every block: one product for all of them, by torch.
        self.shift_weight = torch.cat([block.time_emb_proj.weight for block in blocks]).detach()
        self.shift_bias = torch.cat([block.time_emb_proj.bias for block in blocks]).detach()
        self.out_channels = unet.conv_out.out_channels
        writer = _Writer(unet, blocks)
        self.net = ncnn.Net()
        options = self.net.opt
        # One image is one thread's; of Winograd's forms the larger one rounds ten times as coarsely.
        options.num_threads, options.use_winograd63_convolution = 1, False
        options.use_fp16_packed = options.use_fp16_storage = options.use_fp16_arithmetic = False
        options.use_bf16_packed = options.use_bf16_storage = False
        with tempfile.TemporaryDirectory(prefix="ddpm-space-") as folder:
            layers, weights = Path(folder, "unet.param"), Path(folder, "unet.bin")
            layers.write_text(writer.text(), encoding="ascii")
            weights.write_bytes(b"".join(writer.weights))
            if self.net.load_param(str(layers)) or self.net.load_model(str(weights)):
                raise RuntimeError("ncnn does not take the graph of this network")

    def shifts(self, embedding: Tensor) -> Tensor:
        """What the activated embedding of t (B, E) adds to the channels of every block, (B, all of them)."""
        return F.linear(embedding, self.shift_weight, self.shift_bias)

    def __call__(self, x: Tensor, shifts: Tensor) -> Tensor:
        """(B, C, H, W) float32 and (B, ...) to (B, C', H, W): the images are shared out over torch's number of threads."""
        images, added = x.detach().contiguous().numpy(), shifts.detach().contiguous().numpy()
        output = torch.empty(len(x), self.out_channels, *x.shape[2:])
        filled, rows = output.numpy(), iter(range(len(x)))
        threads = min(torch.get_num_threads(), len(x))
        share_out(lambda: self._fill(filled, images, added, rows), threads)
        return output

    def _fill(self, output: np.ndarray, images: np.ndarray, shifts: np.ndarray, rows: Iterator[int]) -> None:
        for row in rows:
            extractor = self.net.create_extractor()
            extractor.input("image", ncnn.Mat(images[row]))
            extractor.input("shifts", ncnn.Mat(shifts[row]))
            failed, found = extractor.extract("output")
            if failed:
                raise MemoryError("ncnn could not evaluate the network")
            output[row] = found


class _Writer:
    """Layers and weights in ncnn's own format, in the order in which `UNet2DModel.forward` has them."""

    def __init__(self, unet: UNet2DModel, blocks: Sequence[ResnetBlock2D]) -> None:
        self.layers: list[tuple[str, list[str], list[str], str]] = []
        self.weights: list[bytes] = []
        self.side = unet.config.sample_size
        self._write("Input", [], "", ["image"])
        self._write("Input", [], "", ["shifts"])
        widths = [block.time_emb_proj.out_features for block in blocks]
        self.shift = dict(zip(map(id, blocks), self._slice("shifts", widths)))

        x = self._convolution("image", unet.conv_in.weight, unet.conv_in.bias)
        skips = [x]
        for block in unet.down_blocks:
            for resnet, attention in self._layers(block):
                x = self._attention(self._block(x, resnet), attention)
                skips.append(x)
            for part in block.downsamplers or ():
                x = self._convolution(x, part.conv.weight, part.conv.bias, stride=2)
                self.side //= 2
                skips.append(x)
        x = self._block(x, unet.mid_block.resnets[0])
        for attention, resnet in zip(unet.mid_block.attentions, unet.mid_block.resnets[1:]):
            x = self._block(self._attention(x, attention), resnet)
        for block in unet.up_blocks:
            for resnet, attention in self._layers(block):
                (x,) = self._write("Concat", [x, skips.pop()], "0=0")
                x = self._attention(self._block(x, resnet), attention)
            for part in block.upsamplers or ():
                x = self._doubling(x, part)
                self.side *= 2
        x = self._activated(x, unet.conv_norm_out)
        self._convolution(x, unet.conv_out.weight, unet.conv_out.bias, name="output")

    def text(self) -> str:
        """All layers; ncnn wants a copy of a blob for each that reads it."""
        readers = Counter(source for _, sources, _, _ in self.layers for source in sources)
        lines: list[str] = []
        copies: dict[str, list[str]] = {}
        blobs = 0
        for number, (kind, sources, made, words) in enumerate(self.layers):
            names = [copies[source].pop() if source in copies else source for source in sources]
            lines.append(f"{kind} layer{number} {len(names)} {len(made)} {' '.join([*names, *made])} {words}")
            blobs += len(made)
            for blob in made:
                if readers[blob] > 1:
                    copies[blob] = [f"{blob}_{copy}" for copy in range(readers[blob])]
                    lines.append(f"Split {blob}_copies 1 {readers[blob]} {blob} {' '.join(copies[blob])}")
                    blobs += readers[blob]
        return f"7767517\n{len(lines)} {blobs}\n" + "\n".join(lines) + "\n"

    def _write(self, kind: str, sources: list[str], words: str, made: list[str] | None = None) -> list[str]:
        made = made or [f"blob{len(self.layers)}"]
        self.layers.append((kind, sources, made, words))
        return made

    def _keep(self, *values: Tensor, tag: bool = False) -> None:
        """Append weights; `tag` is the word by which ncnn tells float32 from its packed formats, before the first weight of some layers."""
        if tag:
            self.weights.append(bytes(4))
        self.weights += [np.ascontiguousarray(value.detach().numpy()).tobytes() for value in values]

    @staticmethod
    def _layers(block: Any) -> Iterator[tuple[ResnetBlock2D, Attention | None]]:
        return zip(block.resnets, getattr(block, "attentions", [None] * len(block.resnets)))

    def _slice(self, x: str, sizes: Sequence[int]) -> list[str]:
        made = [f"blob{len(self.layers)}_part{part}" for part in range(len(sizes))]
        return self._write("Slice", [x], f"-23300={len(sizes)},{','.join(map(str, sizes))} 1=0", made)

    def _convolution(self, x: str, weight: Tensor, bias: Tensor, stride: int = 1, name: str | None = None) -> str:
        out_channels, _, size, _ = weight.shape
        plain = "31=64" if self.side <= SMALL_MAP else ""  # bit 6 of the mask: not in Winograd's form
        words = f"0={out_channels} 1={size} 3={stride} 4={size // 2} 5=1 6={weight.numel()} {plain}"
        self._keep(weight, bias, tag=True)
        return self._write("Convolution", [x], words, [name] if name else None)[0]

    def _doubling(self, x: str, part: Upsample2D) -> str:
        kernel = doubled_kernel(part.conv.weight.detach()).transpose(0, 1)
        self._keep(kernel, part.conv.bias, tag=True)
        return self._write("Deconvolution", [x], f"0={len(kernel)} 1=4 3=2 4=1 5=1 6={kernel.numel()}")[0]

    def _normalised(self, x: str, norm: nn.GroupNorm) -> str:
        self._keep(norm.weight, norm.bias)
        return self._write("GroupNorm", [x], f"0={norm.num_groups} 1={norm.num_channels} 2={norm.eps:.9g} 3=1")[0]

    def _activated(self, x: str, norm: nn.GroupNorm) -> str:
        return self._write("Swish", [self._normalised(x, norm)], "")[0]

    def _sum(self, x: str, y: str) -> str:
        return self._write("BinaryOp", [x, y], "0=0")[0]

    def _block(self, x: str, block: ResnetBlock2D) -> str:
        hidden = self._convolution(self._activated(x, block.norm1), block.conv1.weight, block.conv1.bias)
        hidden = self._sum(hidden, self.shift[id(block)])
        hidden = self._convolution(self._activated(hidden, block.norm2), block.conv2.weight, block.conv2.bias)
        shortcut = block.conv_shortcut
        return self._sum(hidden, x if shortcut is None else self._convolution(x, shortcut.weight, shortcut.bias))

    def _attention(self, x: str, attention: Attention | None) -> str:
        """Self-attention over the positions; the projections are 1 x 1 convolutions, so that channels stay first."""
        if attention is None:
            return x
        query, key, value, out = attention.to_q, attention.to_k, attention.to_v, attention.to_out[0]
        weight = torch.cat([query.weight * attention.scale, key.weight, value.weight])[:, :, None, None]
        bias = torch.cat([query.bias * attention.scale, key.bias, value.bias])
        width, heads = len(bias) // 3, attention.heads
        joined = self._convolution(self._normalised(x, attention.group_norm), weight, bias)
        (joined,) = self._write("Reshape", [joined], f"0={self.side**2} 1={len(bias)}")
        parts = self._slice(joined, [width // heads] * (3 * heads))
        mixed = [self._head(*parts[head::heads]) for head in range(heads)]
        whole = mixed[0] if heads == 1 else self._write("Concat", mixed, "0=0")[0]
        (whole,) = self._write("Reshape", [whole], f"0={self.side} 1={self.side} 2={width}")
        return self._sum(self._convolution(whole, out.weight[:, :, None, None], out.bias), x)

    def _head(self, query: str, key: str, value: str) -> str:
        (scores,) = self._write("Gemm", [query, key], "2=1 3=0")
        (shares,) = self._write("Softmax", [scores], "0=1 1=1")
        return self._write("Gemm", [value, shares], "2=0 3=1")[0]
