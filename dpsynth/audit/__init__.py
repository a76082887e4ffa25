"""Attacks on the promise: what can be learned of a person, measured, beside what the guarantee allows.

An audit finds a broken promise or does not; it never proves one kept. Every number it gives is a
:class:`~dpsynth.audit.finding.Finding`. There is no overall score.
"""
