; Definitions, calls and imports of Zig.
(function_declaration name: (identifier) @name) @def.function
(variable_declaration . (identifier) @name (struct_declaration)) @def.struct
(variable_declaration . (identifier) @name (union_declaration)) @def.struct
(variable_declaration . (identifier) @name (enum_declaration)) @def.enum

(call_expression function: (identifier) @call)
(call_expression function: (field_expression member: (identifier) @call))

(builtin_function
  (builtin_identifier) @_import
  (arguments (string (string_content) @import))
  (#eq? @_import "@import"))
