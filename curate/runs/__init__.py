"""All of it, gated and provable: configuration, trail, pipeline, verification."""
