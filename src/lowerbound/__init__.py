"""Variational autoencoders for images, tables and interactions: fit, measure, look, use."""

__version__ = "0.1.0"
