"""Files for other tools, made from a site file."""
