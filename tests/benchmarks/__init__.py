"""The harness that compares programs, run on programs made up for it."""
