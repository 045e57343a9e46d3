"""P4_16 text to typed, checked IR: `parse_and_check`."""
