"""Upscales videos and images.

python infer.py -i clip.mp4 -o out
python infer.py --demo -o results
"""

import sys


def main() -> int:
    """Runs the command line; Ctrl-C while libraries are loaded is no traceback either."""
    try:
        from uav_jax.cli import main as run
    except KeyboardInterrupt:
        return 130
    return run()


if __name__ == "__main__":
    sys.exit(main())
