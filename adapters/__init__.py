"""The inbound side: one module per kind of source, plus what they share."""
