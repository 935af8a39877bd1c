"""Tests of official_rethink.losses."""
