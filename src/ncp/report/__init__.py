"""Pictures and tables for people. Nothing is imported until it is asked for: drawing is the slowest import of a command."""
