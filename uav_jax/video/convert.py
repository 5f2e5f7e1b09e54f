"""Streams in another format, where a container cannot hold theirs."""

from collections.abc import Iterator
from fractions import Fraction

import av
from av.error import FFmpegError

AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
"""Samples a second that AAC is written with; others become 48,000."""


LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}
"""By number of channels; others are mixed down to stereo."""


class SubtitleConverter:
    """Text subtitles in another text format; `stream` is the result's."""

    def __init__(self, out, source, codec: str):
        self._source = source.codec_context
        self._source.open(strict=False)
        self.stream = out.add_stream(codec)
        context = self.stream.codec_context
        context.subtitle_header = self._source.subtitle_header
        context.time_base = self.stream.time_base = Fraction(1, 1000)

    def convert(self, packet: av.Packet) -> Iterator[av.Packet]:
        """Yields what becomes of one packet."""
        subtitle = self._source.decode2(packet)
        if subtitle is None or not len(subtitle):
            return
        made = self.stream.codec_context.encode_subtitle(subtitle)
        made.pts = made.dts = packet.pts if packet.pts is not None else packet.dts
        made.duration, made.time_base = packet.duration, packet.time_base
        made.stream = self.stream
        yield made

    def rest(self) -> Iterator[av.Packet]:
        """Yields nothing: every packet was converted at once."""
        return iter(())


class AudioConverter:
    """Sound in another codec; `stream` is the result's."""

    def __init__(self, out, source, codec: str):
        self._source = source.codec_context
        layout = LAYOUTS.get(self._source.channels, "stereo")  # not every file names its layout
        rate = self._source.rate if codec == "aac" and self._source.rate in AAC_RATES else 48000
        self.stream = out.add_stream(codec, rate=rate)
        self.stream.codec_context.layout = layout
        self.stream.codec_context.bit_rate = 96000 * max(1, self._source.channels)
        self._resampler = av.AudioResampler(
            format=self.stream.codec_context.format, layout=layout, rate=rate
        )

    def convert(self, packet: av.Packet) -> Iterator[av.Packet]:
        """Yields what becomes of one packet; damaged ones are left out."""
        try:
            frames = packet.decode()
        except FFmpegError:
            return
        for frame in frames:
            for resampled in self._resampler.resample(frame):
                yield from self._encoded(resampled)

    def rest(self) -> Iterator[av.Packet]:
        """Yields the packets that the encoder still holds."""
        for resampled in self._resampler.resample(None):
            yield from self._encoded(resampled)
        yield from self._encoded(None)

    def _encoded(self, frame) -> Iterator[av.Packet]:
        for packet in self.stream.codec_context.encode(frame):
            packet.stream = self.stream
            yield packet
