"""One trace of a scan: the front door, TorchServe behind it, the handler's stages; by OpenTelemetry, on request."""
