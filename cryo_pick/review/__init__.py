"""Candidates that are worth a second look, one after the other, judged by a person with keys."""
