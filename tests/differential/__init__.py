"""The same programs and packets through both compilers and both switches."""
