"""Bytes of one training example from host to device, against Model Garden's parser, whose targets are per anchor."""

from typing import Any

import tensorflow as tf

from benchmarks import input_pipeline, measure

TARGET = 10.0


def example_bytes(parse: input_pipeline.Parse, serialized: bytes) -> int:
    """Bytes of all tensors of the example that a parser makes of a record."""
    example = next(input_pipeline.stream(parse, serialized))
    return sum(tensor.numpy().nbytes for tensor in tf.nest.flatten(example))


def label_bytes(parse: input_pipeline.Parse, serialized: bytes) -> int:
    """The same without the image."""
    _, labels = next(input_pipeline.stream(parse, serialized))
    return sum(tensor.numpy().nbytes for tensor in tf.nest.flatten(labels))


def run() -> list[dict[str, Any]]:
    """Measures one example of 640 pixels: as a whole, and its labels alone."""
    serialized = input_pipeline.record()
    ours, theirs = input_pipeline.ours('S1'), input_pipeline.model_garden('S1')
    note = '640 pixels, at most 100 objects, as uint8 with padded boxes; Model Garden: float32 with targets per anchor'
    whole = measure.quantity(example_bytes(ours, serialized), example_bytes(theirs, serialized), 'bytes')
    labels = measure.quantity(label_bytes(ours, serialized), label_bytes(theirs, serialized), 'bytes')
    return [
        measure.row('transfer, an example', whole, target=TARGET, unit='bytes', note=note),
        measure.row('transfer, its labels', labels, target=TARGET, unit='bytes', note=note),
    ]
