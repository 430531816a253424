"""Calls to XNAT, and what is known of it."""
