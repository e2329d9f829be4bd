"""The parts of an approval: votes, patterns for a yes that lasts, edited arguments, webhooks."""
