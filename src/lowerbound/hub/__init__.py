"""Run folders to and from a hub of models."""
