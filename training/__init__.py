"""From the data set to released weights: ``data``, ``fit``, ``judge``, ``release``, in this order. Decoding,
preprocessing and network are ``handler``'s, never the reverse. Never imports archive, serving, rollout, web or scripts.
"""
