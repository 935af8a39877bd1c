"""What Model Garden lacks in models: anchor labelling on the device, guarded restore."""
