"""Writing the same text to many WebSockets: its frame is made once, and goes to each without a task."""

from typing import Final

from websockets.frames import Frame, Opcode

# Extension of ASGI, in the scope's `extensions`: {"write": Callable[[str], bool]}. The call sends a text message at
# once. It returns False, and sends nothing, where only `send` can: the client reads too slowly, frames are compressed,
# or the socket is not open.
WRITE_TEXT: Final = "tunegraph.websocket.write_text"
LARGEST_KEPT_BYTES: Final = 256 * 1024


class TextFrames:
    """The frames of texts. That of the last text is kept, by the identity of the text."""

    def __init__(self) -> None:
        self._text = ""
        self._frame = _framed("")

    def frame(self, text: str) -> bytes:
        """An unmasked, uncompressed frame (RFC 6455, 5.2)."""
        if text is self._text:
            return self._frame
        frame = _framed(text)
        if len(frame) <= LARGEST_KEPT_BYTES:
            self._text, self._frame = text, frame
        return frame


def _framed(text: str) -> bytes:
    return Frame(Opcode.TEXT, text.encode()).serialize(mask=False)
