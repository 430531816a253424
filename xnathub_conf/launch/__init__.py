"""From XNAT's answer to a checked plan of a server."""
