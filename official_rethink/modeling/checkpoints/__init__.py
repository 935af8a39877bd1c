"""Published checkpoints: how each is laid out, and how its tensors become a TF2 checkpoint of ours."""
