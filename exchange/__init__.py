"""How our processes speak to each other over HTTP: the one session factory and the tokens of a state folder. Imports
nothing of ours.
"""
