"""One module per P4Runtime entity: how it is written, and how it is read."""
