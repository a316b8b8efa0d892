"""Many tasks over many repositories: each is carried out once, in a copy of its own."""
