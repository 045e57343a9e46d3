"""From typed P4 to the flat core program that BMv2 JSON and P4Info are written from."""
