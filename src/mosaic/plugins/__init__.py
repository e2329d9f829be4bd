"""The built-in provider adapters: found by the same entry points as anyone's plugin, with no privilege."""
