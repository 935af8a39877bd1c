"""Tests of official_rethink.modeling."""
