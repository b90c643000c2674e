"""The way of a request: admitted, read, queued at the gate, forwarded to TorchServe."""
