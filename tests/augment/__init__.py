"""Tests of official_rethink.augment."""
