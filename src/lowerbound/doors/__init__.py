"""Ways out for what was fitted: files of other formats, a server, a search over settings."""
