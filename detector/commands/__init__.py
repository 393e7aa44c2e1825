"""The commands of `detector`, one module each."""
