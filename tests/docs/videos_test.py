"""The tables of docs/videos.md: every row is tested, and codecs are as the page says."""

import re
from pathlib import Path

from uav_jax.video.codecs import CODECS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "videos.md").read_text()

TESTED = {
    "frames": "test_frames_and_times_are_those_a_player_shows",
    "damaged packets": "test_a_damaged_last_packet_is_passed_over",
    "truncated files": "test_truncated_files_are_refused_or_used_as_far_as_they_go",
    "timestamps": "test_rates_of_ntsc_and_variable_times_are_exact",
    "joined recordings": "test_joined_recordings_play_through_with_their_sound",
    "size": "test_large_inputs_are_reduced_only_when_asked",
    "sample aspect ratio": "test_pixels_keep_their_shape",
    "rotation and mirroring": "test_a_mirroring_display_matrix_is_applied",
    "interlaced": "test_interlaced_video_is_deinterlaced_unless_that_is_off",
    "more than 8 bits": "test_deep_sources_become_a_file_that_plays_everywhere",
    "colours": "test_wide_gamut_colours_keep_their_tags_and_values",
    "high dynamic range": "test_high_dynamic_range_keeps_tags_and_mastering_metadata",
    "alpha": "test_alpha_is_kept_by_codecs_that_have_it",
    "sound": "test_mp3_stays_in_mp4_and_foreign_sound_is_converted_for_webm",
    "subtitles": "test_text_subtitles_are_converted_where_a_container_needs_it",
    "flags, languages, titles": "test_flags_languages_and_attachments_are_kept",
    "chapters and metadata": "test_sound_subtitles_chapters_and_title_are_copied",
    "attachments": "test_flags_languages_and_attachments_are_kept",
    "cover picture": "test_a_cover_picture_is_kept_and_not_upscaled",
    "other streams": "test_a_stream_that_no_container_holds_is_left_out_and_said",
    "a part": "test_a_part_has_its_own_sound_subtitles_and_chapters",
    "images": "test_pictures_come_out_upright_and_in_srgb",
}


def rows(heading: str) -> list[list[str]]:
    """The cells of the table below a heading."""
    lines = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0].splitlines()
    table = [line for line in lines if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[1:]]


def test_every_row_of_what_is_kept_has_a_test():
    assert [row[0] for row in rows("What is kept")] == list(TESTED)
    sources = [
        p.read_text() for part in ("video", "jobs") for p in (ROOT / "tests" / part).glob("*.py")
    ]
    written = set(re.findall(r"^def (test_\w+)", "\n".join(sources), re.MULTILINE))
    assert set(TESTED.values()) <= written


def test_the_table_of_codecs_is_that_of_the_program():
    listed = {row[0].split("`")[1]: row for row in rows("Codecs")}
    assert set(listed) == {*CODECS, "png"}
    for name, codec in CODECS.items():
        _, files, bits, alpha, crf, largest = listed[name]
        assert files == ", ".join(suffix[1:] for suffix in codec.containers)
        assert bits == ", ".join(map(str, codec.formats))
        assert bool(alpha) == bool(codec.alpha_formats)
        assert crf == (f"0-{codec.highest_crf} ({codec.crf})" if codec.crf else "")
        assert largest == f"{codec.max_width}x{codec.max_height}"
