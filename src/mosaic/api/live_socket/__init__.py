"""WebSockets: live events by topic, presence and comments; a run as agents' frames."""
