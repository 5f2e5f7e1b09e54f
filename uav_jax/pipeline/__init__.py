"""From frames and a prompt to upscaled frames."""
