from ringdaq.client import connect as connect
from ringdaq.client import connect_async as connect_async
from ringdaq.pipeline import native_stage as native_stage
from ringdaq.streams import attach as attach

__version__: str
__all__ = ["__version__", "attach", "connect", "connect_async", "native_stage"]
