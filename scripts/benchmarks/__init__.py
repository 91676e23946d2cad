"""What scripts/bench measures: a module a topic, and what they share."""
