"""Tests of step 6, deploy."""
