"""One HTML file with a network in it, which computes in the page."""
