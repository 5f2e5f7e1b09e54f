"""The one way to and from media files: videos, folders of frames, pictures.

Frames are uint8, or uint16 where the source has more than 8 bits, `(H, W, 3)` RGB, or
`(H, W, 4)` where alpha is kept.
"""
