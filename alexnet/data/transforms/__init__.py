"""Augmentation, colour components and pixel statistics."""
