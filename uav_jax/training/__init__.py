"""Training: what trains, the losses, the step, and the one loop."""
