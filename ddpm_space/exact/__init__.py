"""Exact worlds: distributions whose score, denoiser, density and best variance are known, so that every claim can be checked to many digits."""

from ddpm_space.exact.distribution import ExactDistribution
from ddpm_space.exact.floor import Estimate, bayes_floor, mean_posterior_variance, optimal_variance, optimal_variances, quadrature_nodes
from ddpm_space.exact.mixture import GaussianData, GaussianMixture
from ddpm_space.exact.network import ExactNetwork, exact_denoiser
from ddpm_space.exact.points import PointSet

__all__ = [
    "Estimate",
    "ExactDistribution",
    "ExactNetwork",
    "GaussianData",
    "GaussianMixture",
    "PointSet",
    "bayes_floor",
    "exact_denoiser",
    "mean_posterior_variance",
    "optimal_variance",
    "optimal_variances",
    "quadrature_nodes",
]
