"""What programs are made of, read with tree-sitter: definitions, calls, imports, faults.

parsed ─▶ child ─▶ (a process of its own) structure, mentions ─▶ parser ─▶ tree_sitter
"""
