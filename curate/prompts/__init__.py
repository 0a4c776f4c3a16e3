"""Are these prompts worth asking? Metrics, filters and the decision over a prompt set."""
