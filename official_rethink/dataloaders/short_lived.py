"""Data sets whose iterators come and go within a run, as those of evaluation and labelling do."""

import tensorflow as tf


def untuned(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """The data set without the thread that tunes it, for which an iterator waits when it is taken apart.

    tf.data wakes that thread a moment before it tells it that it is no longer needed, so now and then it sleeps on: as
    long as the iterator has lived, up to a minute (OptimizeLoop in tensorflow/core/framework/model.cc, and
    StartCancelWithStatus in cancellation.cc). Untuned, AUTOTUNE means as many calls side by side as there are cores,
    16 at most.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)
