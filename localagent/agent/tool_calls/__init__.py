"""Reading tool calls: one module a form."""
