"""What stands between servers and others: the gate in the hub's proxy, and the servers' way out."""
