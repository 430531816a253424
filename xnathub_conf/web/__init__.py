"""The hub's pages and handlers."""
