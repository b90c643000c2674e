"""The Open Inference Protocol, version 2, on the front door: the same scans, the same way to TorchServe and the same
limits as ``POST /api/v1/segment``, spoken in tensors. Looks into no scan; unpacks
the masks of TorchServe's answer."""
