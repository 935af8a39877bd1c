"""Rethinking pre-training and self-training, as code that runs: see README.md."""

__version__ = '0.1.0'
