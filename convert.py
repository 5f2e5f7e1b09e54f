"""Converts a released model directory to Orbax checkpoints, or back to PyTorch files.

python convert.py upscale_a_video converted
python convert.py --to-torch converted back
"""

import argparse
import sys
from pathlib import Path

from uav_jax.weights.model_files import convert, to_torch


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0, or 2 with one line about what does not fit."""
    parser = argparse.ArgumentParser(description="Converts a released model, or back.")
    parser.add_argument("source", type=Path, help="a released or a converted directory")
    parser.add_argument("target", type=Path, help="a new folder")
    parser.add_argument("--to-torch", action="store_true", help="write the released layout")
    options = parser.parse_args(arguments)
    try:
        if not options.source.is_dir():
            raise ValueError(f"{options.source} is no directory")
        written = (to_torch if options.to_torch else convert)(options.source, options.target)
    except (ValueError, OSError) as error:
        print(f"convert.py: {error}", file=sys.stderr)
        return 2
    print(f"wrote {', '.join(written)} to {options.target}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
