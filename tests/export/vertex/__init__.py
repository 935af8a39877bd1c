"""Tests of jobs on Vertex AI."""
