"""Clips packed as a tensorflow-datasets dataset: ``builder`` writes one, ``reader`` reads it."""
