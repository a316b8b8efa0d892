"""Plain values and small services that every folder may import: errors, events, paths, locks."""
