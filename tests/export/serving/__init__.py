"""Tests of the prediction server."""
