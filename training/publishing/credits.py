"""What is known of the data sets that the presets name: whose images they are, and under which licence."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Credit:
    """A data set's licence, in the Hub's word for it (None: its authors state none), its notice in Markdown and its paper."""

    licence: str | None
    notice: str
    paper: str


CREDITS = {
    "fashionmnist": Credit(
        "mit",
        "The images are Fashion-MNIST, by Han Xiao, Kashif Rasul and Roland Vollgraf (Zalando Research), under the "
        "[MIT licence](https://github.com/zalandoresearch/fashion-mnist/blob/master/LICENSE).",
        "H. Xiao, K. Rasul, R. Vollgraf. Fashion-MNIST: a novel image dataset for benchmarking machine learning algorithms. arXiv:1708.07747, 2017.",
    ),
    "mnist": Credit(
        "cc-by-sa-3.0",
        "The images are MNIST, by Yann LeCun, Corinna Cortes and Christopher J. C. Burges, derived from NIST's Special Databases 1 and 3, licensed "
        "[CC BY-SA 3.0](https://creativecommons.org/licenses/by-sa/3.0/); the weights are under the same licence.",
        "Y. LeCun, L. Bottou, Y. Bengio, P. Haffner. Gradient-based learning applied to document recognition. Proceedings of the IEEE, 86(11), 1998.",
    ),
    "cifar10": Credit(
        None,
        "The images are CIFAR-10, collected by Alex Krizhevsky, Vinod Nair and Geoffrey Hinton from the 80 million tiny images, whose own authors "
        "have withdrawn them; no licence of the images is stated.",
        "A. Krizhevsky. Learning multiple layers of features from tiny images. Technical report, University of Toronto, 2009.",
    ),
}
"""Credits by the data set's name in small letters and digits."""

COPIES = re.compile(r"(784|small|original|train|test|png|jpg|images|bundled|parquet)*")
"""What may follow the name of a set without making it another one."""


def credit_of(name: str) -> Credit | None:
    """Find the credit of a data set by its name, None for one that is not known here: EMNIST and CIFAR-100 are not MNIST and CIFAR-10.

    Args:
        name: as `open_data` gives it: an id of the Hub, a folder, or "folder/file.parquet".
    """
    folder, _, last = name.lower().rpartition("/")
    for part in [last, folder] if last.endswith(".parquet") else [last]:
        plain = re.sub(r"[^a-z0-9]", "", part)
        for known, credit in CREDITS.items():
            if plain.startswith(known) and COPIES.fullmatch(plain, len(known)):
                return credit
    return None
