"""Converts a released model directory to Orbax checkpoints, or back to PyTorch files.

python convert.py upscale_a_video converted
python convert.py --to-torch converted back
"""

import sys

from uav_jax.weights.cli import main

if __name__ == "__main__":
    sys.exit(main())
