"""What whoever runs a hub sees of it, and what keeps it running."""
