"""The reports of a preview, one format a file."""

from mntscope.output.preview.report import FORMATS, PreviewReport

__all__ = ["FORMATS", "PreviewReport"]
