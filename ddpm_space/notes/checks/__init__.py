"""The independent checks, with the words and LaTeX of each equation: one module a chapter. Nothing here computes a formula for anybody else."""
