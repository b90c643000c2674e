"""Who may ask, and how much: keys, quota, tokens."""
