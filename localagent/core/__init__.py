"""Plain values and small services that everything else may import: errors, events, paths, locks."""
