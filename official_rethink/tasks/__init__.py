"""Tasks, one a family; self-training composes them."""
