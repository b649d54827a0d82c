"""The `huggingface` adapter: files, layout and rows of datasets on the hub or on disk."""
