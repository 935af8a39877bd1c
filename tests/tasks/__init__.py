"""Tests of official_rethink.tasks."""
