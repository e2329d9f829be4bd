"""The composition root: settings, the application built from them, and its operations. Only this room knows all rooms."""
