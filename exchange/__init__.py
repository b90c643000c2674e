"""How our processes speak to each other: the one session factory for HTTP, the tokens of a state folder, and the files
in it that both sides of a trial know. Imports nothing of ours.
"""
