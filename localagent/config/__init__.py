"""Settings: the schema, the sources, the policy, and changes of the user's file."""
