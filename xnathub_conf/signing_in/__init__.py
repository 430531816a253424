"""Who may sign in, and how often they may try."""
