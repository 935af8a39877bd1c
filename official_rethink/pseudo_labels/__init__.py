"""Step 3, label: inference, the store (shards and manifest), quality against truth."""
