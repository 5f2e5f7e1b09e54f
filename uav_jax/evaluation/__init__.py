"""Scores of upscaled clips against their truth: data sets, methods, the table."""
