"""Scores upscaling methods against the truth.

python evaluate.py DATA --kind real --method bicubic --method default --json scores.json
"""

import sys

from uav_jax.evaluation.cli import main

if __name__ == "__main__":
    sys.exit(main())
