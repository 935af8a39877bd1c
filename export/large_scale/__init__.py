"""Labelling on many machines: the work of `pseudo_label` as an Apache Beam pipeline."""
