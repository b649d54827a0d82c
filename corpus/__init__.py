"""The outbound side: manifest to shards, dataset card, Croissant, report."""
