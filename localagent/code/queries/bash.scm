; Definitions, calls and sourced files of shells.
(function_definition name: (word) @name) @def.function

(command name: (command_name (word) @call))

(command
  name: (command_name (word) @_source)
  . argument: (_) @import
  (#match? @_source "^(source|[.])$"))
