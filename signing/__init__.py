"""Ed25519 keys in a folder, and signed envelopes (DSSE): for archives and for the passports of answers. Imports nothing
of ours.

By ``cryptography`` and not by ``model-signing``: that one (1.1.1) has no Ed25519, does not import without pyopenssl
beside it, and lets a signed file pass under another name."""
