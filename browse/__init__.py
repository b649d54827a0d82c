"""The local web application over a workspace: Starlette, Jinja2 and htmx. It reads, and writes nothing."""
