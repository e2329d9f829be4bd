"""Workflows: definitions in YAML, checked before they run, and the interpreter that runs them."""
