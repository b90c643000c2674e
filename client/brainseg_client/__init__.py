"""The Python client of the front door, and the command for files and folders. Imports nothing of ours."""
