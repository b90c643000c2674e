"""Trust: the input gate and what is to be expected of masks are fitted, judged, and put into a release."""
