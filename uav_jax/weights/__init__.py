"""Weights: rules as data, one strict engine, readers and writers of checkpoint files."""
