"""A whole archive of scans overnight: listed, segmented by the handler in processes of its own (no server), written as
data: masks by digest beside a Parquet table. Knows nothing of TorchServe and the front door."""
