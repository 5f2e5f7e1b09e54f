"""What the benchmarks share: medians of several runs, and this machine's rate to compare with."""

import argparse
import json
import statistics
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp


def parse(description: str | None, **others: str | None) -> argparse.Namespace:
    """``--json`` and ``--repeats``, which every benchmark takes, and ``others`` by name."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", action="store_true", help="a last line of JSON with the ratio")
    parser.add_argument("--repeats", type=int, default=3)
    for name, value in others.items():
        parser.add_argument(f"--{name}", default=value)
    return parser.parse_args()


def median_seconds(call: Callable[[], object], repeats: int) -> float:
    """Of some runs after one that compiles."""
    jax.block_until_ready(call())
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(call())
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def matmul_rate(repeats: int, dtype: str = "float32") -> float:
    """FLOP/s of a square matrix product, large enough for the device to be the limit."""
    size = 4096 if jax.default_backend() == "cpu" else 8192
    x = jax.random.normal(jax.random.key(0), (size, size), dtype)
    product = jax.jit(jnp.matmul)
    return 2 * size**3 / median_seconds(lambda: product(x, x), repeats)


def report_rate(options: argparse.Namespace, gflop: float, call: Callable[[], object]) -> None:
    """Reports what ``call`` reaches of this machine's rate, which is taken before and after it.

    ``--dtype`` names the type of both.
    """
    before = matmul_rate(options.repeats, options.dtype)
    seconds = median_seconds(call, options.repeats)
    rate = (before + matmul_rate(options.repeats, options.dtype)) / 2
    achieved = gflop * 1e9 / seconds
    values = {"seconds": seconds, "GFLOP/s": achieved / 1e9, "matmul GFLOP/s": rate / 1e9}
    report(options, {**values, "ratio": achieved / rate})


def report(options: argparse.Namespace, values: dict[str, float]) -> None:
    """Prints the figures, and as JSON where that was asked for."""
    for name, value in values.items():
        print(f"{name:28} {value:.4g}")
    if options.json:
        print(json.dumps(values))
