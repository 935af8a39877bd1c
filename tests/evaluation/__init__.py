"""Tests of step 5, compare."""
