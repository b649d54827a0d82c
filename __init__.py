"""derlem builds the training corpora of vision-language models."""

__version__ = "0.1.0"
