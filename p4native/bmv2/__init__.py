"""The BMv2 JSON and P4Info formats: reader and writers."""
