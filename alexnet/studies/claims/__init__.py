"""One file a claim; each has a function `study` that says how it is tested."""
