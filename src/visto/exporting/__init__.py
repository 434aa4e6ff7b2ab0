"""The verb ``export``: a bundle brought to where it is needed, and refused where it would answer otherwise there."""

from visto.exporting.run import EXPORTERS, check_asked, check_exportable, export

__all__ = ["EXPORTERS", "check_asked", "check_exportable", "export"]
