"""Warnings about checked programs: suspicious, but not wrong."""
