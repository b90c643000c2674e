"""A version on trial between its gate and its promotion: as a canary, which answers a share of the requests, or as a
shadow, which gets copies of them. Whoever watches it judges by tests that may be looked at all the time."""
