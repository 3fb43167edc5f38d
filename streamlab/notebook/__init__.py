"""The notebook: magics, widgets and rich displays; the only importer of Jupyter."""
