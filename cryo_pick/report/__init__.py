"""The report: one HTML file that says how good the picks are, and shows them."""

from cryo_pick.report.data import ReportData, RunResult
from cryo_pick.report.figure import write_slice_figure
from cryo_pick.report.headline import Headline, headline
from cryo_pick.report.html import write_report

__all__ = [
    "Headline",
    "ReportData",
    "RunResult",
    "headline",
    "write_report",
    "write_slice_figure",
]
