"""A release folder becomes a .mar: engines converted, parity proven, known answers recorded; and an archive is verified
before anything of it is believed. Never imports serving, rollout, training, web or scripts.
"""
