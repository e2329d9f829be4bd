"""The front desk for runs: start, signal, cancel, query, fork from a step."""
