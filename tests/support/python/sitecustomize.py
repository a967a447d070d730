"""Python before 3.11.5 (Debian 12 has 3.11.2) reads from a connection that was paused while it was made, and hands what comes to
the protocol of that moment. MiniStack pauses so, to begin TLS: without this it loses the first words of a device, and no
device comes up."""

from asyncio import selector_events

_transport = selector_events._SelectorTransport
_add_reader = getattr(_transport, "_add_reader", None)

if _add_reader is not None:

    def _add_reader_unless_paused(self, *arguments):
        is_paused = hasattr(self, "is_reading") and not self.is_reading()
        if not is_paused:
            _add_reader(self, *arguments)

    _transport._add_reader = _add_reader_unless_paused
