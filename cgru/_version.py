"""The version, for the package and what it prints."""

__version__ = "0.2.0"
