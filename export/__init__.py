"""Step 6, deploy: SavedModel export."""
