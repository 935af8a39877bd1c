"""Tests of types, defaults, parsing and validation."""
