"""The notes' mathematics, row by row: closed forms of values and tensors. No model, no table, no page; torch and the standard library only.

    N1  Langevin's equation      langevin, langevin_bridge, potentials, integrators, particles, langevin_sampling, langevin_chains
    N2  the Gaussian             gaussian, gaussian_algebra, gaussian_full
    N3  reparameterization       gaussian_algebra, gradients, forward
    N4  thermodynamics, 2015     thermo2015, thermo2015_binomial, thermo2015_entropy
    N5  one noising step         forward
    N6  noising in one jump      forward, chain
    N7  the posterior            reverse
    N8  DDPM                     reverse, elbo, weights, chain
    N9  Jensen's inequality      jensen, importance
    N10 maximum likelihood       mle

`equations` holds the registry: id, LaTeX, meaning, source, function and an independent check, of which `checks` has one for each equation.
`coefficients`, `variances`, `covariances` and `quadrature` are what the formulas share.
"""
