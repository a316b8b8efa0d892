"""Tools that a model can call, one module each.

To add a built-in tool:

1. Write `tools/<name>.py`: a class with a `spec` (see `ToolSpec` in `tools/base.py`) and `prepare`,
   which returns an `Action`. `tools/list.py` is a short example. `tools/targets.py` finds and
   decodes files, and makes the action for a file's new content.
2. Name the class in `standard_tools` of `tools/registry.py`. Nothing else lists tools: parser,
   grammar, permissions and screen read the spec.
3. Describe it to the model in `prompts/tools/<name>.md`, and test it in `tests/unit/tools`.

A plug-in tool is one file with `DESCRIPTION` and `prepare`; see `session/plugins.py`.
"""
