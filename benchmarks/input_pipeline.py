"""How fast training pairs are made, and how long a training step waits for them.

    python benchmarks/input_pipeline.py DATA

``DATA`` is a folder of ``python -m uav_jax.data.packages``. Prints clips a second of one process
for the published and the mild degradation, their ratio to making the clean clip alone, and what a
consumer that is busy for a given time still waits.
"""

import argparse
import time
from dataclasses import replace

from uav_jax.data.clips import places
from uav_jax.data.degradation import DegradationConfig
from uav_jax.data.loader import DataConfig, Unusable, batches, make_record

SECONDS = 20
"""How long each rate is measured."""


def clips_a_second(config: DataConfig) -> float:
    """Records a second of CPU time, made one after the other by one process."""
    collection, unusable = places(config.kind, config.directory), Unusable(0)
    make_record(config, collection, 0, unusable)
    start, count = time.process_time(), 0
    while time.process_time() - start < SECONDS:
        count += 1
        make_record(config, collection, count, unusable)
    return count / (time.process_time() - start)


def waiting(config: DataConfig, busy: float, steps: int = 30) -> float:
    """Mean seconds that a step of ``busy`` seconds waits for its batch."""
    data = batches(config)
    next(data)
    waited = 0.0
    for _ in range(steps):
        time.sleep(busy)
        start = time.monotonic()
        next(data)
        waited += time.monotonic() - start
    return waited / steps


def main() -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", help="folder of uav_jax.data.packages")
    directory = parser.parse_args().data
    base = DataConfig(directory=directory, batch_size=1, frames=8, crop=320)
    clean = clips_a_second(replace(base, low_quality=False))
    print("clips of 8 frames, 320 x 320, one process")
    print(f"clean      {clean:6.2f} clips/s")
    for name, degradation in (
        ("mild", DegradationConfig.mild()),
        ("published", DegradationConfig()),
    ):
        rate = clips_a_second(replace(base, degradation=degradation))
        print(f"{name:10} {rate:6.2f} clips/s  {rate / clean:.2f} of clean")
        small = replace(base, batch_size=3, frames=3, crop=96, degradation=degradation)
        for busy in (0.5, 2.0):
            wait = waiting(small, busy)
            print(f"{'':10} batch of 3 x 3 x 96 x 96, step of {busy} s waits {wait:.3f} s")


if __name__ == "__main__":
    main()
