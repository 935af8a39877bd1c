"""Losses that the studies add to Model Garden's."""
