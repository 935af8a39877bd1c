"""Types and defaults of the experiments, one module a family."""
