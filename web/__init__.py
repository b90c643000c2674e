"""The front door: the web page and the API in front of TorchServe.

It talks to TorchServe over HTTP only and imports neither ``handler`` nor ``training``.
"""
