"""The HTTP server of a bundle, behind the extra `serve`."""
