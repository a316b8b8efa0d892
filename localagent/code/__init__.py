"""Languages, and what tree-sitter reads from source files: definitions, calls, imports, errors.

cache ─▶ process ─▶ (a child process) structure, mentions ─▶ parser ─▶ tree_sitter
"""
