"""What carries an agent: a model in our own loop."""
