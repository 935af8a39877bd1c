"""Tests of the servable detector."""
