"""The outbound side: manifest to shards, dataset card and Croissant, to a hub and to other tools."""
