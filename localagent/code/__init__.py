"""Languages, and the definitions, calls, imports and errors that tree-sitter reads from files.

cache ─▶ process ─▶ (a child process) structure, mentions ─▶ parser ─▶ tree_sitter
"""
