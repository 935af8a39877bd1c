"""Tests of official_rethink.common."""
