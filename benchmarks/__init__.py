"""Side-by-side measurements against the reference implementations; each one gives a ratio."""
