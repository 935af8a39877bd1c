"""Tests of step 1: records, shards, converters, splits."""
