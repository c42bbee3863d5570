"""The drawing of a topology, as SVG and as Mermaid."""

from testbed.evidence.graph.layout import layout
from testbed.evidence.graph.mermaid import draw_mermaid
from testbed.evidence.graph.scene import DrawingError
from testbed.evidence.graph.svg import draw_svg

__all__ = ["DrawingError", "draw_mermaid", "draw_svg", "layout"]
