"""Judging a model: its bits/dim on held-out images, and its samples beside real ones. `evaluate.py` puts it together."""
