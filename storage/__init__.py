"""Places for bytes outside the catalog: the content-addressed cache of the workspace."""
