"""Recipe, run, loss, teachers: from slices to a checkpoint. Never imports release."""
