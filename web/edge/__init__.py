"""Connections: what waitress is made to hold to before a request is whole. Bytes, times, places."""
