"""A variance that the network predicts beside the mean [Nichol 2021 section 3.1]."""

from __future__ import annotations

from torch import Tensor

LEARNED_VARIANCES = ("learned", "learned_range")


def split_output(model_output: Tensor, sample: Tensor) -> tuple[Tensor, Tensor]:
    """Split what a network with a learned variance returns, (B, 2C, ...), into its prediction and its variance.

    Raises:
        ValueError: the network has not twice the sample's channels.
    """
    channels = sample.shape[1]
    if model_output.shape[1] != 2 * channels:
        raise ValueError(
            f"a learned variance needs {2 * channels} output channels for {channels} of the sample, not {model_output.shape[1]}: "
            "use a fixed variance_type, or a network with twice the channels"
        )
    return model_output[:, :channels], model_output[:, channels:]


def learned_sigma(predicted: Tensor, variance_type: str, log_beta_tilde: float | Tensor, log_beta: float | Tensor) -> Tensor:
    """sigma_t from the network's second half: the root of a variance, or between the two fixed ones on the log scale [Nichol 2021 eq. 15].

    Args:
        predicted: (B, C, ...), for "learned" the variance, for "learned_range" the position from -1 (beta_tilde) to 1 (beta).
        variance_type: one of LEARNED_VARIANCES; log_beta_tilde, log_beta: numbers or (B, 1, ...).
    Returns:
        (B, C, ...) standard deviations.
    """
    if variance_type == "learned":
        return predicted.sqrt()
    share = (predicted + 1) / 2
    return (0.5 * (share * log_beta + (1 - share) * log_beta_tilde)).exp()
