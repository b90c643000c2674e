"""The release folder with its card, and what is published."""
