"""Step 5, compare: one evaluator for every arm."""
