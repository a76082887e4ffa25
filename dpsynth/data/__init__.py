"""From a table to codes and back: sources, the codec, the unit bound, schema drafts."""

from dpsynth.data.codec import Codec
from dpsynth.data.draft import draft_schema
from dpsynth.data.layout import Layout
from dpsynth.data.source import Source, open_source

__all__ = ["Codec", "Layout", "Source", "draft_schema", "open_source"]
