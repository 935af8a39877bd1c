"""Compiles train steps and inference for a TPU without a TPU: `make tpu-check`, docs/tpu.md."""
