"""Tile plans: they cover, they are equal, they blend to one."""

from itertools import pairwise

import numpy as np
import pytest

from uav_jax.pipeline.tiling import blend_weights, plan_tiles

SIZES = [(480, 854), (384, 384), (65, 700), (30, 1000), (1, 1), (321, 322), (129, 64)]


@pytest.mark.parametrize("height, width", SIZES)
@pytest.mark.parametrize("tile, context", [(256, 64), (96, 16), (64, 0)])
def test_tiles_cover_every_pixel_with_one_size_and_shares_add_up_to_one(
    height, width, tile, context
):
    tiles = plan_tiles(height, width, tile, context)
    assert len({(t.height, t.width) for t in tiles}) == 1
    assert tiles[0].height <= tile + 2 * context and tiles[0].width <= tile + 2 * context
    for scale in (1, 2):
        total = np.zeros((height * scale, width * scale, 1))
        for t, share in zip(tiles, blend_weights(tiles, height, width, scale), strict=True):
            assert (share >= 0).all()
            total[t.slices(scale)] += share
        assert np.allclose(total, 1, atol=1e-5)


def test_neighbours_overlap_by_at_least_the_context():
    tiles = plan_tiles(100, 1000, 128, 32)
    lefts = sorted({t.left for t in tiles})
    assert all(a + tiles[0].width - b >= 32 for a, b in pairwise(lefts))


def test_a_frame_that_fits_is_one_tile():
    assert len(plan_tiles(300, 380, 256, 64)) == 1


def test_tiles_are_no_larger_than_their_number_needs():
    tiles = plan_tiles(480, 854, 192, 16)
    assert len(tiles) == 15
    assert sum(t.height * t.width for t in tiles) < 1.17 * 480 * 854
