"""Packs a collection of videos and captions as a tensorflow-datasets dataset.

    python -m uav_jax.data.tfds webvid DIRECTORY OUT --frames 16 --shortest 480

cuts every video into consecutive clips of ``--frames`` frames, reduces them to ``--shortest``
pixels on the shorter side (area average) and stores them as PNG in ArrayRecord files.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from uav_jax.data.tfds.builder import STREAMED, ClipsConfig, build


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line: what to pack and where to; returns 2 after a mistake."""
    parser = argparse.ArgumentParser(description="Packs clips and captions as ArrayRecord.")
    parser.add_argument("kind", choices=STREAMED)
    parser.add_argument("directory")
    parser.add_argument("out", type=Path)
    parser.add_argument("--frames", type=int, default=16, help="frames of a clip")
    parser.add_argument("--shortest", type=int, help="pixels of the shorter side, at most")
    options = parser.parse_args(arguments)
    try:
        config = ClipsConfig(
            name=options.kind,
            kind=options.kind,
            directory=options.directory,
            frames=options.frames,
            shortest=options.shortest,
        )
        folder = build(config, options.out)
    except (ValueError, OSError) as error:
        print(f"tfds: {error}", file=sys.stderr)
        return 2
    print(f"wrote {folder}; train with data.kind=tfds data.directory={folder}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
