"""Building blocks; the only code that folds frames into the batch."""
