"""The typed configuration, assembled from the options of all rooms."""
