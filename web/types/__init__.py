"""The door of the classifier: one slice in, its type out; a model of its own at TorchServe, with places of its own."""
