"""Starts and watches TorchServe and the front door: Java, ports, state folder, tokens, ready. Never imports scripts,
web or training.
"""
