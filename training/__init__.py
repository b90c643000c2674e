"""From the data set to released weights. Uses ``handler`` for decoding, preprocessing and the network; never the reverse."""
