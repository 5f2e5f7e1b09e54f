"""The options of `infer.py`: the published script's, and ours."""

import argparse
from importlib.metadata import version
from typing import NoReturn

from uav_jax.diffusion.solvers import SOLVERS
from uav_jax.jobs.captions import CAPTION_MODEL
from uav_jax.jobs.inputs import KINDS
from uav_jax.pipeline.settings import NOISES
from uav_jax.video.codecs import CODECS

EXAMPLES = """examples:
  infer.py -i clip.mp4 -o out
  infer.py -i clip.mp4 -o better.mp4 --prompt "keep film grain"
  infer.py -i *.mp4 -o out --height 1080 --codec h265
  infer.py -i old_films/ -r -o out -n 40 --prompt "sharp" -g 1.5 --save_image
  infer.py -i film.mkv -o part.mkv --from 00:01:00 --to 00:01:10
  infer.py -i photo.jpg -o photo_4x.png
  infer.py --demo -o results
"""


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (--help lists the options)\n")


def parser() -> argparse.ArgumentParser:
    """Returns the parser of `infer.py`'s command line."""
    p = _Parser(
        prog="infer.py",
        description="Upscales video and images 4 times with a text-guided, temporally consistent "
        "diffusion model. Settings that are not given come from the model.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument(
        "-i",
        "--input_path",
        metavar="PATH",
        nargs="+",
        help="videos, images, folders of videos, of the frames of one video, or of images",
    )
    p.add_argument(
        "-o",
        "--output_path",
        metavar="PATH",
        default="results",
        help="folder for the results, or one file (.mp4, .mkv, .mov, .webm; .png, .jpg, ... for "
        "an image)",
    )
    p.add_argument("--model", default="default", help="'default' or a model directory")
    _add_input_arguments(p)
    _add_sampling_arguments(p)
    _add_model_arguments(p)
    _add_output_arguments(p)
    _add_program_arguments(p)
    return p


def _add_input_arguments(p: argparse.ArgumentParser) -> None:
    g = p.add_argument_group("input")
    g.add_argument("--kind", choices=KINDS, help="what folders hold (default: by their content)")
    g.add_argument("-r", "--recursive", action="store_true", help="look into folders of folders")
    g.add_argument("--fps", metavar="N", help="rate of folders of frames (default: 25)")
    g.add_argument(
        "--from",
        dest="start",
        metavar="TIME",
        help="first frame that is upscaled: seconds, hh:mm:ss.ms, or #120 for a frame number",
    )
    g.add_argument("--to", dest="stop", metavar="TIME", help="where it ends, this frame excluded")
    g.add_argument(
        "--hdr",
        choices=("refuse", "keep", "tonemap"),
        default="refuse",
        help="high dynamic range: keep works on its values, tonemap converts it to BT.709",
    )
    g.add_argument(
        "--deinterlace",
        choices=("auto", "off"),
        default="auto",
        help="of interlaced video, with bwdif",
    )
    g.add_argument(
        "--pre_scale",
        type=float,
        default=1.0,
        metavar="0..1",
        help="reduce a soft or noisy input first, such as 0.5",
    )
    g.add_argument(
        "--no_limits",
        action="store_true",
        help="accept files that you trust whatever they take: sizes, lengths, rates, decoding time",
    )
    g.add_argument("--allow_truncated", action="store_true", help="use what a cut-off file has")


def _add_sampling_arguments(p: argparse.ArgumentParser) -> None:
    g = p.add_argument_group("sampling")
    g.add_argument(
        "-n",
        "--noise_level",
        type=int,
        metavar="N",
        help="low keeps to the input, high invents detail; from 0 to 60 (the default model) or 350 "
        "(the released one)",
    )
    g.add_argument(
        "-g", "--guidance_scale", type=float, help="how strongly prompts act, 1 and more"
    )
    g.add_argument("-s", "--inference_steps", type=int, help="denoising steps")
    g.add_argument("--solver", choices=SOLVERS, help="dpmpp and unipc need fewer steps")
    g.add_argument(
        "--guidance_interval",
        type=int,
        nargs=2,
        metavar=("FROM", "TO"),
        help="timesteps (0 clean to 1000 noise) at which guidance runs",
    )
    g.add_argument(
        "--deep_reuse",
        type=int,
        metavar="N",
        help="run the U-Net's deep levels at every Nth step only: faster, less exact",
    )
    g.add_argument(
        "-p",
        "--propagation_steps",
        metavar="N,N,...",
        help="steps at which latents are propagated along optical flow, from 0",
    )
    g.add_argument("--seed", type=int, help="of the noise")
    g.add_argument("--noise", choices=NOISES, help="torch: the numbers PyTorch's CPU would draw")


def _add_model_arguments(p: argparse.ArgumentParser) -> None:
    g = p.add_argument_group("prompts, decoder and tiles")
    g.add_argument(
        "--prompt",
        help="what the video shows, or what is wanted; the default model knows: drawing, smooth, "
        "sharp, keep film grain (default: CLIP.txt beside the video, if any)",
    )
    g.add_argument(
        "--caption",
        choices=("off", "auto"),
        default="off",
        help="auto: a model describes each scene's first frame, kept in CLIP.txt",
    )
    g.add_argument("--caption_model", default=CAPTION_MODEL, help="directory or name of the model")
    g.add_argument("--a_prompt", help="added to every prompt")
    g.add_argument("--n_prompt", help="the negative prompt")
    g.add_argument(
        "--use_video_vae",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="decode with the video decoder",
    )
    g.add_argument("--color_fix", help="None, AdaIn or Wavelet")
    g.add_argument(
        "--perform_tile",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="work in tiles (on by default from 384 x 384 pixels, or 2048 a side, on)",
    )
    g.add_argument("--tile_size", type=int, help="input pixels a side, without context")
    g.add_argument("--tiling", choices=("blended", "published"), help="published: hard edges")
    g.add_argument(
        "--decode_overlap",
        type=int,
        metavar="0|1",
        help="frames that neighbouring decode groups blend",
    )


def _add_output_arguments(p: argparse.ArgumentParser) -> None:
    g = p.add_argument_group("result")
    g.add_argument(
        "--codec",
        help=f"{', '.join(CODECS)}, or png (a folder of frames); default: h264, h265 for more than "
        "8 bits, vp9 in .webm",
    )
    g.add_argument(
        "--crf",
        type=int,
        help="quality: 0 (best) to 51 (h264, h265) or 63 (av1, vp9); lossless are ffv1 and png",
    )
    g.add_argument("--preset", help="of the encoder: slower makes smaller files")
    g.add_argument("--bits", type=int, choices=(8, 10), help="per channel (default: as the input)")
    g.add_argument(
        "--alpha",
        choices=("auto", "keep", "black"),
        default="auto",
        help="auto keeps it in prores, ffv1, png; otherwise it is shown over black",
    )
    g.add_argument("--scale", type=int, default=4, metavar="2|3|4", help="times the input's size")
    g.add_argument("--height", type=int, help="of the result in pixels, instead of a scale")
    g.add_argument(
        "--scenes",
        default="auto",
        metavar="auto|off|N,N,...",
        help="where scenes begin, which nothing crosses",
    )
    g.add_argument(
        "--published",
        action="store_true",
        help="as the published script: inputs from 1280x1280 pixels on are reduced 4 times first, "
        "colours are truncated",
    )
    g.add_argument(
        "--overwrite",
        action="store_true",
        help="replace results of this program, and the file that -o names",
    )
    g.add_argument(
        "--compare",
        action="store_true",
        help="also write a side-by-side video and a comparison page",
    )
    g.add_argument("--save_image", action="store_true", help="also write the frames as PNG")
    g.add_argument("--save_suffix", default="", help="appended to the names of the results")


def _add_program_arguments(p: argparse.ArgumentParser) -> None:
    g = p.add_argument_group("program")
    g.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    g.add_argument(
        "--weights",
        choices=("replicated", "fsdp"),
        default="replicated",
        help="over several devices: a copy on each, or sharded",
    )
    g.add_argument("--plan", action="store_true", help="say what would be done, and stop")
    g.add_argument("--demo", action="store_true", help="degrade a known clip, restore it, compare")
    g.add_argument("--quiet", action="store_true", help="print errors only")
    g.add_argument("--log", metavar="FILE", help="append what is printed to a file")
    g.add_argument("--version", action="version", version=f"uav_jax {version('uav_jax')}")
    g.add_argument(
        "--no_llava", action="store_true", help=argparse.SUPPRESS
    )  # of the published script; ignored
