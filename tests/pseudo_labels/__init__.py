"""Tests of step 3, label."""
