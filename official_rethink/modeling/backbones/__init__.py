"""Backbones that Model Garden lacks, or builds otherwise than their originals."""
