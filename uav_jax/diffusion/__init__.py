"""Schedules, solvers, windows and the sampling loop."""
