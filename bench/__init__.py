"""Performance against stated bars and against what a plain script would do: ``python -m bench`` runs all of it."""
