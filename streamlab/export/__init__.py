"""Export: a transform of a notebook as an installable, verified package."""
