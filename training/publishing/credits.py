"""What is known of the data sets that the presets name: whose images they are, and under which licence."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Credit:
    """A data set's licence, in the Hub's word for it (None: its authors state none), its notice in Markdown and its paper."""

    licence: str | None
    notice: str
    paper: str


CREDITS = {
    "fashion": Credit(
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
"""Credits by a word in the data set's name, the more special word first: Fashion-MNIST is another set than MNIST, under another licence."""


def credit_of(name: str) -> Credit | None:
    """Find the credit of a data set by its name, None for one that is not known here."""
    plain = name.lower().replace("-", "").replace("_", "")
    return next((credit for word, credit in CREDITS.items() if word in plain), None)
