"""Tests of the agent-to-agent door."""
