"""Reading in training: decode, augment, batch; joint human and pseudo batches."""
