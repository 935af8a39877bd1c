"""Step 1, prepare: converters, the one shard writer, splits and the built-in scenes."""
