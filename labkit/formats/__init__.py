"""How tensors are stored: one file per format, and the one file format that labkit reads and writes."""

from labkit.formats._format import Format, PlainFormat, formats, not_zero_bits, smallest

__all__ = ["Format", "PlainFormat", "formats", "not_zero_bits", "smallest"]
