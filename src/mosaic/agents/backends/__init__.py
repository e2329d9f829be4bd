"""What carries an agent: a model in our own loop, or another installation."""
