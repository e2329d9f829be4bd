"""Checks beyond the shape of a file: names, variables, graphs, secrets."""
