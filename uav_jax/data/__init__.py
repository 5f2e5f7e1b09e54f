"""Training data: photos from packages, synthetic camera motion, degradation, batches."""
