"""What can go wrong with images and the engine that has them."""

from __future__ import annotations

from testbed.errors import MissingFeatureError, TestbedError


class EngineError(MissingFeatureError):
    """No Docker engine can be used; the hint says how to get one."""


class ImageError(TestbedError):
    """An image cannot be described, built or locked."""


class PinnedVersionGoneError(ImageError):
    """The archive has newer versions than the ones that are pinned."""
