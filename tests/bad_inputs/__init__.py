"""Bad inputs through the real entry points: a clear error or a counted skip, never a traceback."""
