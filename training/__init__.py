"""From the data set to released weights. Uses ``handler`` for decoding, preprocessing and network; never the reverse."""
