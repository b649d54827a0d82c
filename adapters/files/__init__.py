"""The `files` adapter: images and documents in folders, with captions in sidecar files."""
