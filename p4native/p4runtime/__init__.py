"""The P4Runtime service over switch devices: sessions, pipeline, write, read, stream."""
