"""Trust: the input gate is fitted, judged, and put into a release."""
