"""Optical flow, warping, and propagation along it."""
