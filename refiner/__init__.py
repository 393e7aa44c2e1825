"""Stage 2: look at the patch around each candidate, say what it is, move it to the centre."""
