"""Values to strings: every function here is pure and renders a finished value."""
