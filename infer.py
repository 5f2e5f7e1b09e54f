"""Upscales videos.

python infer.py -i clip.mp4 -o out
python infer.py --demo -o results
"""

import sys

from uav_jax.cli import main

if __name__ == "__main__":
    sys.exit(main())
