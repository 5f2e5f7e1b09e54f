"""A picture of what a recipe trains on: targets beside their degraded partners.

    python -m uav_jax.data.preview configs/small/temporal_unet.py -o preview.png --set data.seed=1

One row a record: first and last frame of the target and of the low-quality clip, enlarged without
smoothing, under the record's number and prompt.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from uav_jax.data.clips import places
from uav_jax.data.loader import DataConfig, Unusable, make_record
from uav_jax.recipes import load_recipe, override

MARGIN = 16
"""Pixels above each row, for its text."""


def contact_sheet(config: DataConfig, records: int) -> Image.Image:
    """The first ``records`` records of a data configuration; ``ValueError`` where it has none."""
    collection = places(config.kind, config.directory, validation=config.validation)
    unusable = Unusable(config.max_unusable)
    size = config.crop
    sheet = Image.new("RGB", (4 * size, records * (size + MARGIN)), "white")
    draw = ImageDraw.Draw(sheet)
    for index in range(records):
        record = make_record(config, collection, index, unusable)
        top = index * (size + MARGIN)
        draw.text((4, top + 2), f"{index}: {record['prompt']!r}", fill="black")
        low_quality = record.get("low_quality")
        pictures = [record["target"][0], record["target"][-1]]
        pictures += [] if low_quality is None else [low_quality[0], low_quality[-1]]
        for column, picture in enumerate(pictures):
            image = Image.fromarray(np.asarray(picture))
            image = image.resize((size, size), Image.Resampling.NEAREST)
            sheet.paste(image, (column * size, top + MARGIN))
    return sheet


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line: the recipe, the picture, how many records; returns 2 after a mistake."""
    parser = argparse.ArgumentParser(description="Writes a contact sheet of training pairs.")
    parser.add_argument("config", type=Path, help="a recipe, such as configs/unet_temporal.py")
    parser.add_argument("-o", "--output", type=Path, default=Path("preview.png"))
    parser.add_argument("--records", type=int, default=8)
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE")
    options = parser.parse_args(arguments)
    try:
        config = load_recipe(options.config)
        for assignment in options.set:
            config = override(config, assignment)
        contact_sheet(config.data, options.records).save(options.output)
    except (ValueError, OSError) as error:
        print(f"preview: {error}", file=sys.stderr)
        return 2
    print(f"wrote {options.output}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
