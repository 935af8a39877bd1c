"""Tests, one folder a room of the package, one module a module."""
