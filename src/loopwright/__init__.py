"""loopwright turns one Markdown file into an autonomous loop that runs as production infrastructure."""

__all__ = ["__version__"]

__version__ = "0.1.0"
