"""Pure functions on source text: reading edits from a reply and applying them."""
