"""Plain mappings (YAML, JSON) to frozen dataclasses, strictly. Imports nothing of ours."""
