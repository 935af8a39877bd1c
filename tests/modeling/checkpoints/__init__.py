"""Tests of the importers of published checkpoints."""
