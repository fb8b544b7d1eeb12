"""What is computed on the way: graphs of stages between ring and ring."""

from ringdaq.pipeline.parts import Feed, PacketFormat, Sink, Source
from ringdaq.pipeline.views import EegDataView, EegDataViewMut

__all__ = ["EegDataView", "EegDataViewMut", "Feed", "PacketFormat", "Sink", "Source"]
