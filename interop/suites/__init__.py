"""Every suite of interop/run, in the order in which they start (the long ones first)."""

from . import kafka_tools

ALL = [kafka_tools.SUITE]
