"""Buying what a schema leaves open."""
