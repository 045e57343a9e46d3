"""One switch between two namespaces: Linux bridge, BMv2 and p4native side by side."""
