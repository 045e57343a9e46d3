"""The report: one self-contained page from a results file."""
