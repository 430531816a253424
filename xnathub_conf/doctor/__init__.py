"""`xnathub doctor`: tries the real things that a site needs, one small check for each, and says what to do."""
