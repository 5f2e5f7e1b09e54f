"""Awkward files that real users have, made with FFmpeg's command-line tools and Pillow."""

import shutil
import subprocess
from pathlib import Path

import av
from PIL import Image, ImageDraw

TEST = "-f lavfi -i testsrc2=s=64x48:r=25:d=0.4"
TONE = "-f lavfi -i sine=d=0.4"
X264 = "-c:v libx264 -pix_fmt yuv420p"
X265 = "-c:v libx265 -pix_fmt yuv420p10le -x265-params log-level=error"
HDR10 = ":colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc"
MASTERING = (
    ":master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
    ":max-cll=1000,400"
)

COMMANDS = {
    "plain.mp4": f"{TEST} {TONE} {X264} -c:a aac",
    "sub_srt.mkv": f"{TEST} -i s.srt {X264} -c:s srt",
    "sub_text.mp4": f"{TEST} -i s.srt {X264} -c:s mov_text",
    "sub_long.mkv": f"{TEST} -i long.srt {X264} -c:s srt",
    "offset.mkv": f"{TEST} {TONE} {X264} -c:a aac -output_ts_offset 5",
    "edit.mp4": f"-f lavfi -i testsrc2=s=64x48:r=25:d=2 {X264} -g 5 -bf 0",
    "sar.mp4": f"{TEST} -vf setsar=32/27 {X264}",
    "interlaced.mpg": "-f lavfi -i testsrc2=s=64x48:r=50:d=0.8 -vf tinterlace=4,setfield=tff "
    "-c:v mpeg2video -flags +ildct+ilme",
    "one.ts": f"{TEST} {TONE} {X264} -c:a mp2",
    "null_frames.avi": "-f lavfi -i testsrc2=s=64x48:r=25:d=1 -vf select='not(between(n,10,14))' "
    "-fps_mode vfr -c:v mpeg4",
    "flags.mkv": f"{TEST} {TONE} {TONE} -i s.srt -map 0 -map 1 -map 2 -map 3 {X264} -c:s ass "
    "-disposition:a:0 0 -disposition:a:1 default -disposition:s:0 forced "
    "-metadata:s:a:1 language=fre -attach s.srt -metadata:s:t mimetype=text/plain",
    "ten_bit.mkv": f"{TEST} {X265}",
    "bt2020.mkv": f"{TEST} {X265}:colorprim=bt2020:transfer=bt709:colormatrix=bt2020nc",
    "hdr10.mkv": f"{TEST} {X265}{HDR10}{MASTERING}",
    "alpha.mov": "-f lavfi -i color=c=red@0.5:s=64x48:d=0.4,format=yuva444p10le -c:v prores_ks",
    "mp3.mp4": f"{TEST} {TONE} {X264} -c:a libmp3lame",
    "wide.mp4": f"-f lavfi -i testsrc2=s=4104x16:d=0.04 {X264}",
    "photo.png": f"{TEST} -frames:v 1",
    "96.ts": f"-f lavfi -i testsrc2=s=96x96:d=0.4 {X264}",
    "64.ts": f"-f lavfi -i testsrc2=s=64x64:d=0.4 {X264}",
    "shot/%d.png": f"{TEST} -frames:v 3",
    "twins/a.mov": "-i plain.mp4 -vf negate",
}


def make_cases(folder: Path) -> Path:
    """Writes all files into a folder; returns it."""
    for name in ("shot", "mixed", "twins", "dotfiles"):
        (folder / name).mkdir()
    (folder / "s.srt").write_text("1\n00:00:00,000 --> 00:00:00,300\nhi\n")
    (folder / "long.srt").write_text("1\n00:00:00,000 --> 00:00:09,000\nhi\n")
    for name, arguments in COMMANDS.items():
        command = ["ffmpeg", "-y", "-v", "error", "-nostdin", *arguments.split(), name]
        subprocess.run(command, cwd=folder, check=True)
    for name in ("Re:Zero.mp4", "T [dq].mp4", "caf\udce9.mp4", "mixed/plain.mp4", "twins/a.mp4"):
        shutil.copy(folder / "plain.mp4", folder / name)
    shutil.copy(folder / "plain.mp4", folder / "dotfiles" / "a.mp4")
    (folder / "dotfiles" / "._a.mp4").write_bytes(b"\0\5\26\7")
    shutil.copy(folder / "photo.png", folder / "mixed" / "poster.png")
    _join_bytes(folder, "joined.ts", "one.ts", "one.ts")
    _join_bytes(folder, "size_change.ts", "96.ts", "64.ts")
    _shorten_edit(folder / "edit.mp4")
    _mirror(folder / "plain.mp4", folder / "mirrored.mp4")
    _pictures(folder)
    return folder


def _join_bytes(folder: Path, target: str, *parts: str) -> None:
    (folder / target).write_bytes(b"".join((folder / part).read_bytes() for part in parts))


def _shorten_edit(path: Path) -> None:
    """An edit list that shows half a second of two."""
    data = bytearray(path.read_bytes())
    at = data.find(b"elst")
    data[at + 12 : at + 16] = (500).to_bytes(4, "big")
    path.write_bytes(data)


def _mirror(source: Path, target: Path) -> None:
    """The same pictures with a display matrix that flips them top to bottom."""
    one = 1 << 16
    with av.open(str(source)) as before, av.open(str(target), "w") as out:
        stream = out.add_stream_from_template(before.streams.video[0], opaque=True)
        stream.set_display_matrix([one, 0, 0, 0, -one, 0, 0, 0, 1 << 30])
        for packet in before.demux(video=0):
            if packet.size:
                packet.stream = stream
                out.mux(packet)


def _pictures(folder: Path) -> None:
    image = Image.new("RGB", (40, 20), "blue")
    ImageDraw.Draw(image).rectangle((0, 0, 9, 9), "red")
    exif = image.getexif()
    exif[274] = 6
    image.save(folder / "exif.jpg", exif=exif, quality=95)
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(folder / "cmyk.jpg")
    Image.new("RGBA", (16, 16), (255, 0, 0, 128)).save(folder / "alpha.png")
