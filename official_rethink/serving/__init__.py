"""Step 6, deploy: image tensor in, named detections out."""
