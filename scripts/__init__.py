"""Everything a person types: options in, a call, an exit code out."""
