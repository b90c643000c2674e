"""Why did the network answer as it did, of one slice: what of the picture moves its answer, drawn as a heat map, with
a figure that shows whether the map means anything."""
