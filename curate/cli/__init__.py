"""Arguments in, text out: the only place that catches errors, asks the clock and talks to people."""
