"""The drawing of a topology, as SVG, as Mermaid and as a draw.io file."""

from testbed.evidence.graph.drawio import draw_drawio
from testbed.evidence.graph.layout import layout
from testbed.evidence.graph.mermaid import draw_mermaid
from testbed.evidence.graph.scene import DrawingError
from testbed.evidence.graph.svg import draw_svg

__all__ = ["DrawingError", "draw_drawio", "draw_mermaid", "draw_svg", "layout"]
