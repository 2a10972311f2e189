"""Exports nothing."""
