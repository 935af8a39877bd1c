"""Tests of official_rethink.dataloaders."""
