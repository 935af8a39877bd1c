"""Tests of the study: plan, runner, records, report."""
