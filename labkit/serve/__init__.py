"""Serving the labs to people: `serve()`, the page's template and what the server lets a browser do."""
