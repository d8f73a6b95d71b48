"""Readers of other frameworks' files, each by itself: none of those frameworks is imported."""
