"""Row N4, the entropy bounds of eq. 24: checked by the determinants of joint Gaussians and by all states of a few bits."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ddpm_space.notes import thermo2015_entropy
from ddpm_space.notes.checks.posterior import joint_covariance, two_times
from ddpm_space.notes.checks.thermo2015_binomial import RATE, random_probabilities
from ddpm_space.notes.checks.thermo2015_states import all_states, entropy_of, ones_share, transition
from ddpm_space.notes.entry import Measured, compare, entry

GAUSSIAN_DATA = (0.4, 1.0, 2.3)
"""Variances on both sides of 1, and 1 itself, where the upper bound is an equality."""


def joint_entropy(covariance: Tensor, of: list[int]) -> Tensor:
    """Entropy of some of the coordinates (x_0, x_s, x_t) of a joint Gaussian, nats."""
    return 0.5 * torch.logdet(2 * math.pi * math.e * covariance[of][:, of])


@entry(
    "N4.entropy_bounds_gaussian",
    latex=r"H(X_t \mid X_s) + H(X_s \mid X_0) - H(X_t \mid X_0) \le H(X_s \mid X_t) \le H(X_t \mid X_s)",
    zh="反向一步的熵的上下界（高斯核），不必知道数据分布；上界要求 E|x_0|² ≤ d，否则可能不成立。",
    en="Bounds on the entropy of one reverse step, Gaussian kernel, without knowing the data; the upper one needs E|x_0|^2 <= d,"
    " and can break otherwise.",
    source="Sohl-Dickstein 2015 eq. 24, appendix A",
    route_zh="(x_0, x_s, x_t) 的联合高斯：由行列式求条件熵 H(X_s|X_t, X_0)、H(X_t|X_s)，并直接比较上界是否成立",
    route_en="joint Gaussians of (x_0, x_s, x_t): H(X_s|X_t, X_0) and H(X_t|X_s) from determinants, and whether the upper bound holds",
)
def check_entropy_bounds_gaussian(generator: torch.Generator) -> Measured:
    alpha_bar_t, alpha_bar_s = two_times(generator)
    left: list[Tensor] = []
    right: list[Tensor] = []
    for variance in GAUSSIAN_DATA:
        left += thermo2015_entropy.entropy_bounds_gaussian(alpha_bar_t, alpha_bar_s, 3 * variance, 3)
        joint = joint_covariance(alpha_bar_t, alpha_bar_s, variance)
        lower = joint_entropy(joint, [0, 1, 2]) - joint_entropy(joint, [0, 2])
        upper = joint_entropy(joint, [1, 2]) - joint_entropy(joint, [1])
        holds = joint_entropy(joint, [1, 2]) - joint_entropy(joint, [2]) <= upper + 1e-12
        right += [3 * lower, 3 * upper, holds]
    return compare(torch.stack([value.double() for value in left]), torch.stack([value.double() for value in right]), 1e-10)


def conditional_entropies(law: Tensor, alpha_bar_t: Tensor, alpha_bar_s: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """H(X_s|X_t, X_0), H(X_t|X_s) and H(X_s|X_t) of three bits, from their joint law written out."""
    first, last = transition(alpha_bar_s, RATE, 3), transition(alpha_bar_t / alpha_bar_s, RATE, 3)
    joint = law[:, None, None] * first[:, :, None] * last[None]  # (x_0, x_s, x_t)
    both, ends, pair = entropy_of(joint.flatten()), entropy_of(joint.sum(1).flatten()), entropy_of(joint.sum(0).flatten())
    return both - ends, pair - entropy_of(joint.sum((0, 2))), pair - entropy_of(joint.sum((0, 1)))


@entry(
    "N4.entropy_bounds_bits",
    latex=r"H(X_t \mid X_s) + H(X_s \mid X_0) - H(X_t \mid X_0) \le H(X_s \mid X_t) \le H(X_t \mid X_s)",
    zh="反向一步的熵的上下界（二项核），只需知道每个比特是 1 的频率；π_1 = 1/2 时上界总成立，否则要求数据中 1 的比例不落在 π_1 朝向 1/2 的那一侧。",
    en="Bounds on the entropy of one reverse step, binomial kernel, from how often each bit is 1; the upper one always holds at pi_1 = 1/2,"
    " otherwise if the data's share of ones is not on the side of pi_1 where 1/2 lies.",
    source="Sohl-Dickstein 2015 eq. 24, appendix A",
    route_zh="三个互相关联的比特：写出 (x_0, x_s, x_t) 的联合分布求条件熵；上界的条件由与 π 的交叉熵是否上升来判断",
    route_en="three dependent bits: entropies from the joint law of (x_0, x_s, x_t); the condition from the cross-entropy to pi, before and after",
)
def check_entropy_bounds_bits(generator: torch.Generator) -> Measured:
    alpha_bar_t, alpha_bar_s = two_times(generator)
    random_law = torch.softmax(torch.randn(8, generator=generator, dtype=torch.float64), 0)
    mostly_0, mostly_1 = (torch.eye(8, dtype=torch.float64)[state] for state in (0, 7))
    left: list[Tensor] = []
    right: list[Tensor] = []
    for law in (0.2 * random_law + 0.8 * mostly_0, 0.2 * random_law + 0.8 * mostly_1):
        left += thermo2015_entropy.entropy_bounds_bits(ones_share(law), alpha_bar_t, alpha_bar_s, rate=RATE)
        lower, upper, _ = conditional_entropies(law, alpha_bar_t, alpha_bar_s)
        minus_log_pi = -transition(0.0, RATE, 3)[0].log()
        rises = law @ transition(alpha_bar_t, RATE, 3) @ minus_log_pi >= law @ transition(alpha_bar_s, RATE, 3) @ minus_log_pi
        right += [lower, upper, rises]
    return compare(torch.stack([value.double() for value in left]), torch.stack([value.double() for value in right]), 1e-10)


@entry(
    "N4.reverse_entropy_gaussian",
    latex=r"H(X_s \mid X_t) = \frac{1}{2}\,\log\left(2\pi e\,\beta_{t|s}\,"
    r"\frac{\bar\alpha_s v_0 + 1-\bar\alpha_s}{\bar\alpha_t v_0 + 1-\bar\alpha_t}\right)",
    zh="数据是方差为 v_0 的高斯时，反向一步的熵的精确值；v_0 > 1 时它超过 H(X_t|X_s)，上界被打破。",
    en="The exact entropy of a reverse step for Gaussian data of variance v_0; for v_0 > 1 it exceeds H(X_t|X_s), and the upper bound breaks.",
    source="Sohl-Dickstein 2015 eq. 27",
    route_zh="(x_s, x_t) 的联合高斯：由行列式求条件熵",
    route_en="the joint Gaussian of (x_s, x_t): the conditional entropy from determinants",
)
def check_reverse_entropy_gaussian(generator: torch.Generator) -> Measured:
    alpha_bar_t, alpha_bar_s = two_times(generator)
    left = thermo2015_entropy.reverse_entropy_gaussian(torch.tensor(GAUSSIAN_DATA, dtype=torch.float64), alpha_bar_t, alpha_bar_s)
    joints = [joint_covariance(alpha_bar_t, alpha_bar_s, variance) for variance in GAUSSIAN_DATA]
    return compare(left, torch.stack([joint_entropy(joint, [1, 2]) - joint_entropy(joint, [2]) for joint in joints]), 1e-10)


@entry(
    "N4.reverse_entropy_bits",
    latex=r"H(X_s \mid X_t) = H(X_t \mid X_s) + H(X_s) - H(X_t)",
    zh="独立比特的反向一步的熵；加噪使边缘熵下降（H(X_s) > H(X_t)）时，上界被打破。",
    en="The entropy of a reverse step for independent bits; where noising lowers the marginal entropy, H(X_s) > H(X_t), the upper bound breaks.",
    source="Sohl-Dickstein 2015 eq. 27",
    route_zh="三个独立比特：写出 (x_s, x_t) 的联合分布求条件熵",
    route_en="three independent bits: the conditional entropy from the joint law of (x_s, x_t) written out",
)
def check_reverse_entropy_bits(generator: torch.Generator) -> Measured:
    alpha_bar_t, alpha_bar_s = two_times(generator)
    activity = random_probabilities(generator, 3)
    law = torch.where(all_states(3) == 1, activity, 1 - activity).prod(-1)
    _, _, exact = conditional_entropies(law, alpha_bar_t, alpha_bar_s)
    return compare(thermo2015_entropy.reverse_entropy_bits(activity, alpha_bar_t, alpha_bar_s, rate=RATE), exact, 1e-10)
