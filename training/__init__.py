"""From the data set to released weights. Decoding, preprocessing and network are ``handler``'s, never the reverse."""
